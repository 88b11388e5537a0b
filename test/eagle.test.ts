/** @file Drafting with a head on the native engine: from files to text, and row by row against training's own pass. */

import { copyFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readConfig } from "../src/checkpoint/config.ts";
import { openGguf } from "../src/checkpoint/gguf.ts";
import type { HeadTarget } from "../src/checkpoint/head-file.ts";
import { findShippedHead } from "../src/checkpoint/shipped-heads.ts";
import { EagleDrafter } from "../src/draft/eagle.ts";
import { loadModel } from "../src/engine/load.ts";
import type { Model } from "../src/session/model.ts";
import type { HeadPass } from "../src/target/draft-head.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import { loadHead } from "./loaded.ts";
import { openTarget } from "./native-model.ts";
import { collect } from "./toy-model.ts";

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/heads/${name}`, import.meta.url));
const TARGET = fixture("target.gguf");
const KINDS = [
  ["eagle-fused", "eagle-fused.gguf"],
  ["eagle-1", "eagle-1.gguf"],
  ["published-1", "published-1"],
  ["published-3", "published-3"],
] as const;

interface Reference {
  /** The last one is the root. */
  readonly tokens: readonly number[];
  readonly nodes: readonly {
    readonly token: number;
    readonly parent: number;
    readonly topTokens: readonly number[];
    readonly topLogProbs: readonly number[];
  }[];
}

/** What a head must know of its target. */
async function describeTarget(): Promise<HeadTarget> {
  await using gguf = await openGguf(TARGET);
  const tokens = gguf.metadata.get("tokenizer.ggml.tokens")!.value as readonly string[];
  return { config: readConfig(gguf), tokens };
}

describe.each(KINDS)("EagleDrafter with a head of kind %s", (kind, file) => {
  test.each([
    [1, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]],
    [4, [3, 1, 2, 2, 1]],
    [2, [1, 4, 1, 5]],
    [12, [1]],
  ])(
    "guesses what training's pass guesses, after a prompt of %d tokens and paths of %j",
    async (prompt, paths) => {
      const { tokens, nodes } = JSON.parse(await readFile(fixture(`${kind}.json`), "utf8")) as Reference;
      await using target = await openTarget(TARGET, { threads: 2 });
      await using head = await loadHead(fixture(file), target, (await describeTarget()).tokens);
      await using sequence = await target.createSequence({ capacity: 64 });
      await using drafter = new EagleDrafter(head, 64);
      const want = { topK: 0, taps: drafter.taps };

      expect(drafter.resume(tokens.slice(0, prompt), 0)).toBe(0);
      await sequence.prefill(tokens.slice(0, prompt - 1), {
        want,
        onChunk: ({ tokens, pass }) => drafter.observePrompt(tokens, pass, sequence.length - tokens.length),
      });
      for (const accepted of paths) {
        // The text's own tokens, of which the last is the bonus; and a sibling beside each that is not accepted.
        const at = sequence.length;
        const tree = new DraftTree(tokens[at]!, 16);
        const path = [0];
        for (const token of tokens.slice(at + 1, at + accepted)) {
          tree.push(path.at(-1)!, (token + 1) % target.vocabSize, 0.1);
          path.push(tree.push(path.at(-1)!, token, 0.5));
        }
        await drafter.expand(tree, [...path.keys()], 4);
        const pass = await sequence.forward(tree, want);
        sequence.commit(path);
        await drafter.observe({ tree, pass, path, bonus: tokens[at + accepted]!, position: at });
      }
      expect(sequence.length).toBe(tokens.length - 1);

      const tree = new DraftTree(tokens.at(-1)!, nodes.length);
      for (const { parent, token } of nodes.slice(1)) tree.push(parent, token, 0.5);
      // Asked in this order, levels come mixed.
      const order = [...nodes.keys()].reverse();
      const answers = await drafter.expand(tree, order, 8);
      for (const [i, node] of order.entries()) {
        const { tokens, probs } = answers[i]!;
        const { topTokens, topLogProbs } = nodes[node]!;
        expect(tokens.slice(0, 3)).toContain(topTokens[0]);
        for (const [rank, token] of topTokens.slice(0, 5).entries()) {
          const prob = probs[tokens.indexOf(token)];
          expect(Math.abs(Math.log(prob!) - topLogProbs[rank]!)).toBeLessThan(0.25);
        }
      }
    },
  );
});

describe("a pass aside", () => {
  test("gives the bits of one that is waited for, whatever runs meanwhile", async () => {
    await using target = await openTarget(TARGET, { threads: 2 });
    await using head = await loadHead(fixture("eagle-fused.gguf"), target, (await describeTarget()).tokens);
    await using sequence = head.createSequence({ capacity: 64 });
    await using text = await target.createSequence({ capacity: 64 });
    const tree = new DraftTree(3, 8);
    for (let node = 1; node < 8; node++) tree.push(node >> 1, 3 + node, 0.5);
    const input = Float32Array.from({ length: 8 * head.featureSize }, (_, i) => Math.sin(i));
    const noise = { seed: 5, temperature: 0.9, ahead: 2 };
    const request = { tree, first: 0, input, from: "target", topK: 9, noise } as const;
    const copy = ({ tokens, logProbs, states }: HeadPass) => ({
      tokens: [...tokens],
      logProbs: [...logProbs],
      states: [...states],
    });
    const alone = copy(await sequence.forward(request));
    let aside = 0;
    for (let round = 0; round < 50; round++) {
      sequence.rollback();
      const pass = sequence.begin?.(request);
      if (!pass) continue;
      aside++;
      expect(() => sequence.rollback()).toThrow("runs aside");
      expect(() => sequence.commit([0])).toThrow("runs aside");
      await expect(sequence.forward(request)).rejects.toThrow("runs aside");
      if (round % 2 === 0) {
        await text.forward(tree, { topK: 1 });
        text.rollback();
      }
      expect(copy(pass.end())).toEqual(alone);
    }
    // None while waiting for cores costs more than another thread brings.
    if (aside === 0) console.warn("no pass ran aside: this machine is busy");
    // One that nobody ends does not keep the head from being freed.
    sequence.rollback();
    sequence.begin?.(request);
  });
});

describe("a model with a head", () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(TARGET, { head: fixture("eagle-fused.gguf"), passTimes: false, threads: 2 });
  });
  afterAll(() => model[Symbol.asyncDispose]());

  test("drafts where it is named, and counts its passes", async () => {
    expect(model.methodNames).toContain("eagle");
    const request = { prompt: "the theory of the", maxTokens: 60 };
    const plain = await collect(model.generate({ ...request, method: "plain" }));
    const drafted = await collect(model.generate({ ...request, method: "eagle", budget: 20 }));
    expect(drafted.tokens).toEqual(plain.tokens);
    const { byDrafter, passes } = drafted.end.stats;
    expect(byDrafter.eagle!.passes).toBeGreaterThan(2 * passes);
  });

  test("serves several texts at once, of which each reads a long prompt", async () => {
    const prompt = (i: number) =>
      Array.from({ length: 300 + 40 * i }, (_, at) => 3 + ((at * 31 + i * 7) % 250));
    const requests = [0, 1, 2, 3].map((i) => ({
      tokens: prompt(i),
      maxTokens: 24,
      temperature: 0.5 * i,
      seed: i,
    }));
    const alone = [];
    for (const request of requests)
      alone.push(await collect(model.generate({ ...request, method: "plain" })));
    const together = await Promise.all(
      requests.map((request) => collect(model.generate({ ...request, method: "eagle", budget: 12 }))),
    );
    expect(together.map(({ tokens }) => tokens)).toEqual(alone.map(({ tokens }) => tokens));
  });
});

describe("finding a head", () => {
  let models: string;
  beforeAll(async () => {
    models = await mkdtemp(join(tmpdir(), "espalier-heads-"));
    await mkdir(join(models, "random"));
  });
  afterAll(() => rm(models, { recursive: true }));

  test("that comes with the package: the one of the model, by its sizes and tokens", async () => {
    const target = await describeTarget();
    expect(await findShippedHead(target, join(models, "nowhere"))).toBeUndefined();
    expect(await findShippedHead(target, models)).toBeUndefined();
    const path = join(models, "random", "random-eagle.gguf");
    await copyFile(fixture("eagle-1.gguf"), path);
    await copyFile(TARGET, join(models, "random", "random.gguf"));
    expect(await findShippedHead(target, models)).toBe(path);
    expect(await findShippedHead({ ...target, tokens: target.tokens.toReversed() }, models)).toBeUndefined();
    const config = { ...target.config, layers: 9 };
    expect(await findShippedHead({ ...target, config }, models)).toBeUndefined();
  });

  test("none: no method that needs one", async () => {
    await using model = await loadModel(TARGET, { head: "none", passTimes: false });
    expect(model.methodNames).not.toContain("eagle");
  });

  test("of another model, or none at all, is an error, and frees what was loaded", async () => {
    await expect(loadModel(undefined, { head: fixture("eagle-1.gguf") })).rejects.toMatchObject({
      code: "wrong-head",
      message: expect.stringContaining("espalier-random"),
    });
    await expect(loadModel(TARGET, { head: join(models, "no.gguf") })).rejects.toMatchObject({
      code: "file-not-found",
    });
    await expect(loadModel(TARGET, { head: TARGET })).rejects.toMatchObject({ code: "bad-model" });
  });
});
