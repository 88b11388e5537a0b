import { describe, expect, it } from "vitest";
import { collect, toyModel, toyTokenizer } from "../../test/toy-model.ts";
import { type Kept, valuesOf } from "../draft/learnt.ts";
import { ToyTarget } from "../target/toy.ts";
import type { ModelParts } from "./parts.ts";
import { Service } from "./service.ts";

/** Reads any text as tokens of the toy. */
const tokenizer: ModelParts["tokenizer"] = {
  ...toyTokenizer,
  encode: (text) => Array.from(text, (character) => 1 + (character.codePointAt(0)! % 40)),
};
const request = { tokens: [3, 1, 4, 1, 5], maxTokens: 24 };
const LONG = 600_000;

/** A model, and how many passes its target has made. */
function counted(parts: Partial<ModelParts> = {}) {
  const target = new ToyTarget({ contextLength: 200, maxNodes: 32 });
  let passes = 0;
  const createSequence = target.createSequence.bind(target);
  target.createSequence = async (...options) => {
    const sequence = await createSequence(...options);
    const forward = sequence.forward.bind(sequence);
    sequence.forward = (...pass) => {
      passes++;
      return forward(...pass);
    };
    return sequence;
  };
  return { model: toyModel({}, { target, tokenizer, endTokens: [], ...parts }), passes: () => passes };
}

describe("a warm-up", () => {
  it("writes until its time is over, and nothing of that is learnt or kept", async () => {
    const kept: Kept[] = [];
    const keep = async (learnt: Kept) => void kept.push(learnt);
    const keeper = { learnt: new Map(), refuse: () => {}, keep };
    const { model, passes } = counted({ keeper });
    await model.warmUp({ ms: 50 });
    expect(passes()).toBeGreaterThan(10);
    await model[Symbol.asyncDispose]();
    expect(kept).toEqual([new Map()]);
    const learnt = (of: typeof model) => [...valuesOf(of.method("auto").method.learnt!)];
    expect(learnt(model)).toEqual(learnt(counted().model));
  });

  it("ends when a text is asked for, which is what it would be without", async () => {
    const { model } = counted();
    const warm = model.warmUp({ ms: LONG });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const text = await collect(model.generate({ ...request, method: "auto" }));
    await warm;
    expect(text.tokens).toEqual((await collect(counted().model.generate(request))).tokens);
  });

  it("ends when a session or a service is asked, too", async () => {
    const { model } = counted();
    const warm = model.warmUp({ ms: LONG });
    await using session = await model.createSession();
    await collect(session.generate(request));
    await warm;
    const other = counted().model;
    const served = other.warmUp({ ms: LONG });
    await using service = new Service(other);
    await collect(service.generate(request));
    await served;
  });

  it("ends with its signal, and with the model", async () => {
    const first = counted();
    await first.model.warmUp({ ms: LONG, signal: AbortSignal.timeout(10) });
    const second = counted();
    const warm = second.model.warmUp({ ms: LONG });
    await second.model[Symbol.asyncDispose]();
    await warm;
    const made = second.passes();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(second.passes()).toBe(made);
  });

  it("is none where a text was written, or passes are long", async () => {
    const used = counted();
    await collect(used.model.generate(request));
    const made = used.passes();
    await used.model.warmUp();
    expect(used.passes()).toBe(made);
    const long = counted({ passTimes: [{ rows: 1, ms: 40 }] });
    await long.model.warmUp();
    expect(long.passes()).toBe(0);
  });

  it("refuses what makes no sense, and tells what went wrong", async () => {
    await expect(counted().model.warmUp({ ms: Number.NaN })).rejects.toThrow("ms is NaN");
    await expect(counted().model.warmUp({ method: "magic" })).rejects.toThrow('method is "magic"');
    const { model } = counted({ tokenizer: { ...tokenizer, encode: () => [99] } });
    await expect(model.warmUp()).rejects.toThrow("tokens holds 99");
    await model[Symbol.asyncDispose]();
  });

  it("fits into the shortest context", async () => {
    const target = new ToyTarget({ contextLength: 2 });
    await toyModel({}, { target, tokenizer }).warmUp({ ms: 5 });
  });
});
