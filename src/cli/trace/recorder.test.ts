/** @file Tests that a trace is the generation it was made of. */

import { expect, test } from "vitest";
import { ToyHead } from "../../../test/toy-head.ts";
import { raggedTokenizer, toyModel, toyTokenizer } from "../../../test/toy-model.ts";
import type { GenerateEvent, GenerateRequest } from "../../session/api.ts";
import { ToyTarget } from "../../target/toy.ts";
import { figuresOf, gainOf } from "./figures.ts";
import { parseTrace } from "./file.ts";
import { TraceRecorder } from "./recorder.ts";

const toy = { order: 1, longRange: 0, contextLength: 512 };

async function traced(request: GenerateRequest, parts = {}, mostNodes?: number) {
  const target = new ToyTarget(toy);
  const model = toyModel(toy, { target, head: new ToyHead(target), endTokens: [], ...parts });
  const prompt = toyTokenizer.encode(request.prompt!, { special: false });
  const recorder = new TraceRecorder(model.parts, prompt, mostNodes);
  let end: Extract<GenerateEvent, { type: "end" }> | undefined;
  for await (const event of model.generate({ ...request, onStep: (step) => recorder.add(step) }))
    if (event.type === "end") end = event;
  return { trace: recorder.finish(end!), end: end! };
}

const request = { prompt: "12341234", maxTokens: 60, budget: 8, method: "rasd" };

test("comes through the file as it is, and its figures are those of the generation", async () => {
  const { trace, end } = await traced(request);
  expect(parseTrace(JSON.stringify(trace), "it")).toEqual(trace);
  expect(trace).toMatchObject({ model: "toy", method: "rasd", text: end.text, tokens: end.tokens });
  expect(trace.prompt.text).toBe("12341234");
  const figures = figuresOf(trace);
  expect(figures.steps).toBe(end.stats.passes);
  expect(figures.nodes * figures.steps).toBeCloseTo(end.stats.nodes, 6);
  expect(figures.time.pass).toBeCloseTo(end.stats.passMs, 3);
  for (const { name, drafted, accepted } of figures.drafters)
    expect(end.stats.byDrafter[name]).toMatchObject({ drafted, accepted });
  const gains = trace.steps.map((step) => gainOf(trace, step));
  expect(gains.reduce((sum, gain) => sum + gain, 0)).toBe(60);
});

test("a text that ended inside of a step's path", async () => {
  const { end: free } = await traced(request);
  const last = free.tokens.at(-3)!;
  const { trace, end } = await traced(request, { endTokens: [last] });
  const gains = trace.steps.map((step) => gainOf(trace, step));
  expect(gains.reduce((sum, gain) => sum + gain, 0)).toBe(end.tokens.length);
  for (const { name, accepted } of figuresOf(trace).drafters)
    expect(end.stats.byDrafter[name]?.accepted).toBe(accepted);
});

test("tokens of half a character and of none are named", async () => {
  const { trace } = await traced(
    { ...request, maxTokens: 200, temperature: 20 },
    { tokenizer: raggedTokenizer },
  );
  const texts = new Map(trace.texts);
  for (const step of trace.steps)
    for (const token of [...step.tokens, step.bonus]) expect(texts.get(token)).toBeTruthy();
  expect(texts.get(4)).toBe("<0xC3>");
  expect(texts.get(15)).toMatch("<0xA9>?<0xC3>");
  expect(texts.get(7)).toBe("<token 7>");
});

test("what has no room is counted, not kept", async () => {
  const { trace } = await traced(request);
  const first = trace.steps.slice(0, 3);
  const room = first.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const { trace: short } = await traced(request, {}, room);
  expect(short.steps.map(({ path }) => path)).toEqual(first.map(({ path }) => path));
  expect(short.stepsLeftOut).toBe(trace.steps.length - 3);
});
