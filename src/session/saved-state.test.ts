/** @file What methods have learnt, saved by one model and loaded by another. */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { collect, toyModel } from "../../test/toy-model.ts";
import { type Kept, valuesOf } from "../draft/learnt.ts";
import { RecycleMatrix } from "../draft/recycle.ts";
import type { GenerateRequest } from "./api.ts";
import type { Model } from "./model.ts";
import type { Costs, ModelParts } from "./parts.ts";
import { writeState } from "./state-file.ts";

const endless = { endTokens: [] };
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("saved state", () => {
  it("makes a new model as good as the one that learnt", async () => {
    const file = join(folder, "state");
    const request: GenerateRequest = { prompt: "12", maxTokens: 40, method: "token-recycling", budget: 8 };
    const fresh = () => toyModel({ order: 1, longRange: 0 }, endless);
    const [learnt, cold, warm] = [fresh(), fresh(), fresh()];
    await collect(learnt.generate(request));
    await learnt.saveState(file, "token-recycling");
    await warm.loadState(file, "token-recycling");
    const passes = async (model: typeof cold) => (await collect(model.generate(request))).end.stats.passes;
    expect(await passes(warm)).toBeLessThan(await passes(cold));
    await expect(warm.saveState(file, "plain")).rejects.toThrow("plain keeps no state");
  });

  it("is shared by methods that learn alike; what only another one learns stays", async () => {
    const file = join(folder, "state");
    const fresh = () => toyModel({ order: 1, longRange: 0 }, endless);
    const valuesIn = (model: Model, method: string, name: string) =>
      model.method(method).method.learnt![name]!.values;
    const both = fresh();
    await collect(both.generate({ prompt: "12", maxTokens: 40, method: "recycle-lookup" }));
    await both.saveState(file, "recycle-lookup");
    await collect(both.generate({ prompt: "12", maxTokens: 40, method: "retrieval" }));
    const one = fresh();
    await one.loadState(file, "token-recycling");
    expect(valuesIn(one, "token-recycling", "recycle.matrix")).toEqual(
      valuesIn(both, "recycle-lookup", "recycle.matrix"),
    );
    await collect(one.generate({ prompt: "34", maxTokens: 40, method: "token-recycling" }));
    await one.saveState(file, "token-recycling");
    await both.saveState(file, "retrieval");
    const other = fresh();
    await other.loadState(file, "recycle-lookup");
    expect(valuesIn(other, "recycle-lookup", "recycle.matrix")).toEqual(
      valuesIn(one, "token-recycling", "recycle.matrix"),
    );
    await other.loadState(file, "retrieval");
    expect(valuesIn(other, "retrieval", "retrieval.odds")).toEqual(
      valuesIn(both, "retrieval", "retrieval.odds"),
    );
  });

  it("is neither read from nor written over a file of something else", async () => {
    const file = join(folder, "letter.txt");
    await writeFile(file, "Dear Sir or Madam");
    const model = toyModel();
    await expect(model.loadState(file)).rejects.toMatchObject({ code: "bad-state" });
    await expect(model.saveState(file)).rejects.toMatchObject({ code: "bad-state" });
    expect(await readFile(file, "utf8")).toBe("Dear Sir or Madam");
    const large = new RecycleMatrix(41);
    large.rows[0] = 40;
    const { fingerprint } = model.parts.tokenizer;
    await writeState(join(folder, "large"), fingerprint, valuesOf(large.learnt));
    await expect(model.loadState(join(folder, "large"))).rejects.toThrow("a recycle.matrix that cannot be");
  });
});

describe("a keeper", () => {
  const request: GenerateRequest = { prompt: "12", maxTokens: 40, method: "token-recycling", budget: 8 };

  /** A model whose keeper starts it with `learnt`, and what that is told. */
  function keptModel(learnt: Kept = new Map(), parts: Partial<ModelParts> = {}) {
    const told = { kept: [] as Kept[], costs: [] as (Costs | undefined)[], refused: [] as string[] };
    const copied = (now: Kept) => new Map([...now].map(([name, values]) => [name, values.slice()] as const));
    const keeper = {
      learnt,
      refuse: (name: string) => told.refused.push(name),
      keep: async (now: Kept, costs: Costs | undefined) => {
        told.kept.push(copied(now));
        told.costs.push(costs);
      },
    };
    return { model: toyModel({ order: 1, longRange: 0 }, { ...endless, keeper, ...parts }), told };
  }

  it("is given what all methods have learnt at the end, and every few minutes while they are used", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    try {
      const { model, told } = keptModel();
      await vi.advanceTimersByTimeAsync(3_600_000);
      expect(told.kept).toEqual([]);
      await collect(model.generate(request));
      await vi.advanceTimersByTimeAsync(3_600_000);
      expect(told.kept).toHaveLength(1);
      await collect(model.generate({ ...request, method: "retrieval" }));
      await model[Symbol.asyncDispose]();
      expect(told.kept).toHaveLength(2);
      expect([...told.kept[1]!.keys()]).toEqual([
        "recycle.matrix",
        "recycle.odds-by-origin",
        "retrieval.odds",
      ]);
      await vi.advanceTimersByTimeAsync(3_600_000);
      expect(told.kept).toHaveLength(2);
    } finally {
      vi.useRealTimers();
    }
  });

  it("is given times of passes as they have turned out by then", async () => {
    const passTimes = [
      { rows: 1, ms: 1000 },
      { rows: 32, ms: 2000 },
    ];
    const { model, told } = keptModel(undefined, { passTimes, questionCosts: { first: 1, next: 2 } });
    await collect(model.generate({ prompt: "12", maxTokens: 40 }));
    await model[Symbol.asyncDispose]();
    const { passes, questions } = told.costs[0]!;
    const [one, most] = passes;
    expect(questions).toEqual({ first: 1, next: 2 });
    expect([one!.rows, most!.rows]).toEqual([1, 32]);
    expect(one!.ms).toBeLessThan(1000);
    const plain = keptModel();
    await collect(plain.model.generate({ ...request, method: "plain" }));
    await plain.model[Symbol.asyncDispose]();
    expect([plain.told.kept, plain.told.costs]).toEqual([[new Map()], [undefined]]);
  });

  it("starts every method with what it has, and hears of what cannot be", async () => {
    const { model, told } = keptModel();
    await collect(model.generate(request));
    await model[Symbol.asyncDispose]();
    const [kept] = told.kept;
    const next = keptModel(kept);
    for (const name of ["token-recycling", "recycle-lookup"]) {
      const { learnt } = next.model.method(name).method;
      expect(learnt!["recycle.matrix"]!.values).toEqual(kept!.get("recycle.matrix"));
    }
    const wrong = keptModel(new Map([...kept!, ["recycle.odds-by-origin", new Float64Array(3)]]));
    const cold = await collect(keptModel().model.generate(request));
    const { tokens, end } = await collect(wrong.model.generate(request));
    expect(wrong.told.refused).toEqual(["recycle.odds-by-origin"]);
    expect([tokens, end.stats.passes]).toEqual([cold.tokens, cold.end.stats.passes]);
  });

  it("of what several methods learn is given that of the one that was used last", async () => {
    const { model, told } = keptModel();
    await collect(model.generate(request));
    await collect(model.generate({ ...request, prompt: "34", method: "recycle-lookup" }));
    await collect(model.generate({ ...request, prompt: "56" }));
    await model[Symbol.asyncDispose]();
    const { values } = model.method("token-recycling").method.learnt!["recycle.matrix"]!;
    expect(told.kept[0]!.get("recycle.matrix")).toEqual(values);
  });
});
