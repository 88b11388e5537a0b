import { expect, test } from "vitest";
import { ToyExit, ToyHead } from "../../test/toy-head.ts";
import type { RetrievalSource } from "../draft/continuations.ts";
import type { LengthPredictor } from "../target/length-predictor.ts";
import { ToyTarget } from "../target/toy.ts";
import type { MethodOptions } from "./method.ts";
import { createMethod, defaultMethod, methodNames, usableMethods } from "./registry.ts";

const alone = { vocabSize: 48, contextLength: 64 };
const draftModel = new ToyTarget();
const head = new ToyHead(draftModel);
const lengths: LengthPredictor = { taps: [0, 2], longest: 4, predict: () => 2 };
/** A store of texts in which nothing is found. */
const datastore: RetrievalSource = {
  fingerprint: "",
  match: () => ({
    matched: 0,
    hits: 0,
    tokens: new Int32Array(0),
    parents: new Int32Array(0),
    counts: new Int32Array(0),
  }),
};
const exit = new ToyExit(draftModel);
const all = { ...alone, draftModel, head, exit, lengths };

test("methods that draft with a model are for those who have one", () => {
  const either = ["opt-tree", "eagle-2", "chain", "ddd", "beta-ts", "calibration-ts", "cost-aware", "rasd"];
  const without = (...names: string[]) => methodNames().filter((name) => !names.includes(name));
  expect(usableMethods(all)).toEqual(methodNames());
  expect(usableMethods({ ...alone, draftModel })).toEqual(without("eagle", "adaeagle", "eesd"));
  expect(usableMethods({ ...alone, head })).toEqual(without("draft-model", "adaeagle", "eesd"));
  expect(usableMethods(alone)).toEqual(without("eagle", "draft-model", "adaeagle", "eesd", ...either));
  expect(usableMethods({ ...alone, exit })).toEqual(without("eagle", "draft-model", "adaeagle", ...either));
  expect(() => createMethod("eesd:beta-ts", alone)).toThrow("method eesd:beta-ts needs an exit block: ");
  expect(() => createMethod("chain:3", alone)).toThrow("method chain:3 needs a draft head: ");
  expect(() => createMethod("chain:3", alone)).toThrow("or a draft model: ");
  for (const name of [
    ...methodNames(),
    "opt-tree:0.5",
    "chain:1",
    "ddd:0.2",
    "adaeagle:0.6",
    "rasd:4",
    "eesd:0",
    "eesd:ddd",
  ]) {
    expect(createMethod(name, all).name).toBe(name);
  }
  for (const options of [all, alone, { ...alone, draftModel }, { ...alone, head }, { ...alone, datastore }]) {
    expect(usableMethods(options)).toContain(defaultMethod);
  }
});

test("methods that learn name what can be kept, alike where it is alike", () => {
  const namesOf = (method: string, options: MethodOptions = all) =>
    Object.keys(createMethod(method, options).learnt ?? {});
  expect(Object.fromEntries(methodNames().map((name) => [name, namesOf(name)]))).toMatchInlineSnapshot(`
    {
      "adaeagle": [
        "eagle.odds-by-sampling",
      ],
      "auto": [
        "recycle.matrix",
        "recycle.odds-by-origin",
        "retrieval.odds",
        "model.odds-by-sampling",
        "auto.model.opinions-0",
        "auto.model.opinions-1",
        "auto.model.opinions-2",
        "auto.model.opinions-3",
        "auto.model.questions",
      ],
      "beta-ts": [
        "eagle.odds-by-sampling",
        "eagle.posterior",
      ],
      "calibration-ts": [
        "eagle.odds-by-sampling",
        "eagle.posterior",
        "eagle.weight",
      ],
      "chain": [
        "eagle.odds-by-sampling",
      ],
      "cost-aware": [
        "eagle.odds-by-sampling",
        "eagle.posterior",
        "eagle.weight",
      ],
      "ddd": [
        "eagle.odds-by-sampling",
      ],
      "draft-model": [
        "model.odds-by-sampling",
      ],
      "eagle": [
        "eagle.odds-by-sampling",
      ],
      "eagle-2": [
        "eagle.odds-by-sampling",
      ],
      "eesd": [
        "exit.odds-by-sampling",
        "exit.posterior",
        "exit.weight",
      ],
      "opt-tree": [
        "eagle.odds-by-sampling",
      ],
      "plain": [],
      "prompt-lookup": [],
      "rasd": [
        "eagle.odds-by-sampling",
        "retrieval.odds",
        "copying.odds",
      ],
      "recycle-lookup": [
        "recycle.matrix",
        "recycle.odds-by-origin",
      ],
      "retrieval": [
        "retrieval.odds",
      ],
      "token-recycling": [
        "recycle.matrix",
        "recycle.odds-by-origin",
      ],
    }
  `);
  expect(namesOf("eesd:beta-ts")).toEqual(["exit.odds-by-sampling", "exit.posterior"]);
  expect(namesOf("eesd:3")).toEqual(["exit.odds-by-sampling"]);
  expect(namesOf("cost-aware", { ...alone, draftModel })).toEqual([
    "model.odds-by-sampling",
    "model.posterior",
    "model.weight",
  ]);
});

test.each([
  ["magic", "the methods are plain, "],
  ["toString", "the methods are plain, "],
  ["", "the methods are plain, "],
  ["plain:3", "plain takes no number"],
  ["chain:", "behind chain: goes a length in tokens, a whole number from 0 to 64"],
  ["chain:1.5", "a whole number from 0 to 64"],
  ["chain:3:4", "a whole number from 0 to 64"],
  ["chain:65", "a whole number from 0 to 64"],
  ["ddd:-1", "a number from 0 to 20"],
  ["ddd:half", "a number from 0 to 20"],
  ["eesd:beta", "a whole number from 0 to 64, or beta-ts, calibration-ts, cost-aware, ddd, tree"],
  ["beta-ts:2", "beta-ts takes no number"],
  ["rasd:17", "behind rasd: goes a number of first tokens, a whole number from 0 to 16"],
  ["opt-tree:2", "behind opt-tree: goes delta, a number from 0 to 1"],
])("no method is called %j", (name, message) => {
  expect(() => createMethod(name, all)).toThrow(RangeError);
  expect(() => createMethod(name, all)).toThrow(message);
});
