/** @file Tests of watching a generation: what is told of steps is what happened, and telling changes nothing. */

import { afterEach, describe, expect, it, vi } from "vitest";
import { ToyHead } from "../../test/toy-head.ts";
import { collect, toyModel, toyTokenizer } from "../../test/toy-model.ts";
import { ToyTarget } from "../target/toy.ts";
import type { GenerateRequest } from "./api.ts";
import type { StepReport } from "./step-report.ts";

const options = { order: 1, longRange: 0, contextLength: 512 };
const request: GenerateRequest = { prompt: "12341234", maxTokens: 60, budget: 8 };

function modelWithHead(parts = {}) {
  const target = new ToyTarget(options);
  return toyModel({}, { target, head: new ToyHead(target), endTokens: [], ...parts });
}

async function watched(model: ReturnType<typeof toyModel>, more: GenerateRequest) {
  const steps: StepReport[] = [];
  const result = await collect(model.generate({ ...request, ...more, onStep: (step) => steps.push(step) }));
  return { ...result, steps, stats: result.end.stats };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("onStep", () => {
  it.each(["plain", "recycle-lookup", "opt-tree", "rasd"])("%s: steps are the text", async (method) => {
    const { steps, tokens, stats } = await watched(modelWithHead(), { method });
    expect(tokens).toEqual((await collect(modelWithHead().generate({ ...request, method }))).tokens);
    const prompt = toyTokenizer.encode("12341234", { special: false });
    const text = [...prompt, ...tokens];
    const drafted: Record<string, number> = {};
    let position = prompt.length - 1;
    for (const step of steps) {
      expect(step.position).toBe(position);
      expect(step.tokens[0]).toBe(text[position]);
      const gained = [...step.path.slice(1).map((node) => step.tokens[node]!), step.bonus];
      expect(gained).toEqual(text.slice(position + 1, position + 1 + gained.length));
      for (const [i, node] of step.path.entries())
        if (i > 0) expect(step.parents[node]).toBe(step.path[i - 1]);
      const size = step.tokens.length;
      for (const list of [step.parents, step.probs, step.values, step.drafters])
        expect(list).toHaveLength(size);
      expect([step.parents[0], step.probs[0], step.values[0], step.drafters[0]]).toEqual([-1, 1, 1, []]);
      for (let node = 1; node < size; node++) {
        expect(step.values[node]).toBe(step.values[step.parents[node]!]! * step.probs[node]!);
        expect(step.drafters[node]!.length).toBeGreaterThan(0);
        for (const name of step.drafters[node]!) drafted[name] = (drafted[name] ?? 0) + 1;
      }
      expect(step).toMatchObject({ kind: method === "plain" ? "plain" : "drafted", trial: false, off: null });
      expect(step).toMatchObject({ nodePrice: null, grown: size });
      position += gained.length;
    }
    expect(steps).toHaveLength(stats.passes);
    expect(steps.reduce((sum, step) => sum + step.tokens.length, 0)).toBe(stats.nodes);
    expect(position + 1).toBe(text.length);
    for (const [name, { drafted: count }] of Object.entries(stats.byDrafter))
      expect(drafted[name] ?? 0).toBe(count);
  });

  it("splits the time of a step", async () => {
    const { steps, stats } = await watched(modelWithHead(), { method: "rasd" });
    for (const { ms, passMs, draftMs, drafterMs } of steps) {
      expect(passMs + draftMs).toBeLessThanOrEqual(ms);
      expect(drafterMs).toBeLessThanOrEqual(draftMs);
      expect(drafterMs).toBeGreaterThan(0);
    }
    const sum = (of: (step: StepReport) => number) => steps.reduce((total, step) => total + of(step), 0);
    expect(sum(({ ms }) => ms)).toBeCloseTo(stats.decodeMs, 6);
    expect(sum(({ passMs }) => passMs)).toBeCloseTo(stats.passMs, 6);
    expect(sum(({ draftMs }) => draftMs)).toBeCloseTo(stats.draftMs, 6);
  });

  it("says what the planner did: nodes that were cut, drafts that stopped, and trials", async () => {
    // Whatever the machine does meanwhile, a look at the clock takes five microseconds.
    let clock = 0;
    vi.spyOn(performance, "now").mockImplementation(() => (clock += 0.005));
    // Nobody can guess what such a temperature picks, and further rows are dear.
    const passTimes = [
      { rows: 1, ms: 0.02 },
      { rows: 32, ms: 20 },
    ];
    const model = toyModel({ contextLength: 1024 }, { endTokens: [], passTimes });
    const steps: StepReport[] = [];
    const wild = { prompt: "1234", method: "recycle-lookup", maxTokens: 900, temperature: 20, seed: 1 };
    await collect(model.generate({ ...wild, onStep: (step) => steps.push(step) }));
    expect(steps.some(({ grown, tokens }) => grown > tokens.length)).toBe(true);
    const off = steps.filter(({ kind }) => kind === "plain");
    expect(off.length).toBeGreaterThan(100);
    for (const step of off) {
      expect(step).toMatchObject({ trial: false, grown: 1, off: expect.stringMatching(/^off: drafts gave/) });
      expect(step.nodePrice).toBeGreaterThan(0);
    }
    const trials = steps.filter(({ trial }) => trial);
    expect(trials.length).toBeGreaterThan(0);
    for (const step of trials) expect(step.kind).toBe("drafted");
  });

  it("ends the generation by what it throws, and the session goes on", async () => {
    await using session = await modelWithHead().createSession();
    const fail = () => {
      throw new Error("seen enough");
    };
    await expect(collect(session.generate({ ...request, onStep: fail }))).rejects.toThrow("seen enough");
    const { tokens } = await collect(session.generate(request));
    expect(tokens).toEqual((await collect(modelWithHead().generate(request))).tokens);
  });

  it("must be a function", async () => {
    const wrong = { ...request, onStep: 5 as unknown as () => void };
    await expect(collect(modelWithHead().generate(wrong))).rejects.toThrow("onStep is 5; give a function");
  });
});
