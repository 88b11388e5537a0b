/** @file Draft heads in the engine against training's own pass (`python -m eagle.export --random` wrote the fixtures). */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openGguf } from "../src/checkpoint/gguf.ts";
import type { NativeHead } from "../src/engine/native-head.ts";
import type { NativeTarget } from "../src/engine/native-target.ts";
import type { HeadSequence } from "../src/target/draft-head.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import { loadHead } from "./loaded.ts";
import { openTarget } from "./native-model.ts";

interface Reference {
  readonly tokens: readonly number[];
  readonly taps: Readonly<Record<string, readonly (readonly number[])[]>>;
  readonly rows: readonly (readonly number[])[];
  readonly nodes: readonly {
    readonly token: number;
    readonly parent: number;
    readonly depth: number;
    readonly state: readonly number[];
    readonly topTokens: readonly number[];
    readonly topLogProbs: readonly number[];
  }[];
}

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/heads/${name}`, import.meta.url));

async function readReference(name: string): Promise<Reference> {
  return JSON.parse(await readFile(fixture(`${name}.json`), "utf8"));
}

/** Features of the positions from `first` on, the hidden states of each one after another. */
function features({ taps, rows }: Reference, first: number): Float32Array {
  return Float32Array.from(
    rows.slice(first).flatMap((_, i) => Object.values(taps).flatMap((tap) => tap[first + i]!)),
  );
}

/** Root mean square of the difference over that of what is expected. */
function error(got: ArrayLike<number>, wanted: readonly number[]): number {
  let difference = 0;
  let size = 0;
  for (const [i, value] of wanted.entries()) {
    difference += (got[i]! - value) ** 2;
    size += value ** 2;
  }
  return Math.sqrt(difference / size);
}

let target: NativeTarget;
let tokens: readonly string[];

beforeAll(async () => {
  target = await openTarget(fixture("target.gguf"), { threads: 2 });
  await using gguf = await openGguf(fixture("target.gguf"));
  tokens = gguf.metadata.get("tokenizer.ggml.tokens")!.value as readonly string[];
});
afterAll(() => target[Symbol.asyncDispose]());

describe.each([
  ["eagle-fused", "eagle-fused.gguf"],
  ["eagle-1", "eagle-1.gguf"],
  ["text-rows", "text-rows.gguf"],
  ["window", "window.gguf"],
  ["published-1", "published-1"],
  ["published-3", "published-3"],
])("a head of kind %s", (kind, file) => {
  const reference = readReference(kind);

  test.each([0, 5, 11])(
    "computes what training computes, with %d rows read before the chain that ends in the root",
    async (read) => {
      const expected = await reference;
      const { tokens: text, nodes, rows } = expected;
      await using head = await loadHead(fixture(file), target, tokens);
      await using sequence = head.createSequence({ capacity: 64 });
      await sequence.read(
        Int32Array.from(text.slice(1, read + 1)),
        features(expected, 0).slice(0, read * head.featureSize),
      );
      expect(sequence.length).toBe(read);

      const tree = new DraftTree(text[read + 1]!, 64);
      for (let row = read + 1; row < rows.length; row++) tree.push(tree.size - 1, text[row + 1]!, 1);
      const root = tree.size - 1;
      const request = { tree, first: 0, input: features(expected, read), from: "target", topK: 8 } as const;
      const width = head.hiddenSize;
      const all = await sequence.forward(request);
      for (let i = 0; i <= root; i++) {
        expect(error(all.states.subarray(i * width, (i + 1) * width), rows[read + i]!)).toBeLessThan(0.03);
      }
      const ofAll = {
        states: [...all.states.slice(root * width)],
        tokens: [...all.tokens.slice(-8)],
        logProbs: [...all.logProbs.slice(-8)],
      };
      sequence.rollback();
      const chain = await sequence.forward({ ...request, lastOnly: true });
      const ofLast = {
        states: [...chain.states],
        tokens: [...chain.tokens],
        logProbs: [...chain.logProbs],
      };
      // What the others leave out behind their keys and values changes no bit of the last one.
      expect(ofLast).toEqual(ofAll);

      // Level by level, each node behind its parent's state as the engine gave it.
      const states = [chain.states.slice()];
      const top = [{ tokens: [...chain.tokens], logProbs: [...chain.logProbs] }];
      const place = [root];
      for (let depth = 1; nodes.some((node) => node.depth === depth); depth++) {
        const first = tree.size;
        const level = [...nodes.entries()].filter(([, node]) => node.depth === depth);
        for (const [i, { parent, token }] of level) place[i] = tree.push(place[parent]!, token, 1);
        const input = Float32Array.from(level.flatMap(([, { parent }]) => [...states[parent]!]));
        const pass = await sequence.forward({ tree, first, input, from: "head", topK: 8 });
        for (const [at, [i]] of level.entries()) {
          states[i] = pass.states.slice(at * width, (at + 1) * width);
          top[i] = {
            tokens: [...pass.tokens.subarray(8 * at, 8 * at + 8)],
            logProbs: [...pass.logProbs.subarray(8 * at, 8 * at + 8)],
          };
        }
      }
      for (const [i, node] of nodes.entries()) {
        expect(error(states[i]!, node.state)).toBeLessThan(0.03);
        // int8 inputs may swap near ties: what counts is the probability each token gets.
        for (const [rank, token] of node.topTokens.entries()) {
          const at = top[i]!.tokens.indexOf(token);
          if (at >= 0) expect(Math.abs(top[i]!.logProbs[at]! - node.topLogProbs[rank]!)).toBeLessThan(0.25);
          else expect(rank).toBeGreaterThan(4);
        }
        expect(top[i]!.tokens.slice(0, 3)).toContain(node.topTokens[0]);
      }
      sequence.commit(tree.path(root));
      expect(sequence.length).toBe(rows.length);
    },
  );
});

describe("a head with text rows", () => {
  const text = [3, 40, 200, 77, 140, 40, 121, 262];

  /** All guesses of a head behind the whole of a text, by token, and the state of its last row. */
  async function guesses(sequence: HeadSequence, draftVocab: ArrayLike<number>) {
    const expected = await readReference("text-rows");
    const tree = new DraftTree(text[1]!, 64);
    for (const token of text.slice(2)) tree.push(tree.size - 1, token, 1);
    const pass = await sequence.forward({
      tree,
      first: 0,
      input: features(expected, 0).slice(0, tree.size * 3 * 64),
      from: "target",
      topK: draftVocab.length,
      lastOnly: true,
    });
    const byToken = new Map([...pass.tokens].map((token, i) => [token, pass.logProbs[i]!]));
    return { byToken, state: pass.states.slice(-64) };
  }

  /** The fixture with `text_rows` off. */
  async function withoutTextRows(): Promise<NativeHead> {
    const folder = await mkdtemp(join(tmpdir(), "espalier-head-"));
    try {
      const bytes = await readFile(fixture("text-rows.gguf"));
      const key = "espalier-eagle.text_rows";
      bytes[bytes.indexOf(key) + key.length + 4] = 0;
      await writeFile(join(folder, "head.gguf"), bytes);
      return await loadHead(join(folder, "head.gguf"), target, tokens);
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  test("guesses tokens of the text that have no row of their own, and leaves all else as it is", async () => {
    await using head = await loadHead(fixture("text-rows.gguf"), target, tokens);
    await using plain = await withoutTextRows();
    await using sequence = head.createSequence({ capacity: 64 });
    await using plainSequence = plain.createSequence({ capacity: 64 });
    const own = new Set(Array.from(head.draftVocab));
    const others = text.slice(1).filter((token) => !own.has(token));
    const got = await guesses(sequence, head.draftVocab);
    const without = await guesses(plainSequence, head.draftVocab);
    expect(got.state).toEqual(without.state);
    expect(others.length).toBeGreaterThan(3);
    expect([...got.byToken.keys()].filter((token) => !own.has(token)).length).toBeGreaterThan(1);
    for (const token of got.byToken.keys()) expect(own.has(token) || others.includes(token)).toBe(true);
    const named = (sequence: HeadSequence) => [...tokens.keys()].filter((token) => sequence.names(token));
    expect(new Set(named(sequence))).toEqual(new Set([...own, ...others]));
    expect(new Set(named(plainSequence))).toEqual(own);
    sequence.rollback();
    expect(new Set(named(sequence))).toEqual(own);
    // Logits are the same; what all share is the sum that they are divided by.
    const shift = [...got.byToken].filter(([token]) => own.has(token));
    const first = without.byToken.get(shift[0]![0])! - shift[0]![1];
    expect(first).toBeGreaterThan(0);
    for (const [token, value] of shift) expect(without.byToken.get(token)! - value).toBeCloseTo(first, 4);
  });

  test("gives each of two texts its own, whichever ran before, and forgets what a text does not hold any more", async () => {
    await using head = await loadHead(fixture("text-rows.gguf"), target, tokens);
    await using one = head.createSequence({ capacity: 64 });
    await using other = head.createSequence({ capacity: 64 });
    const expected = await guesses(one, head.draftVocab);
    const unread = Int32Array.from({ length: 5 }, (_, i) => 250 + i);
    await other.read(unread, new Float32Array(unread.length * head.featureSize));
    const widened = await guesses(other, head.draftVocab);
    expect(widened.byToken).not.toEqual(expected.byToken);
    one.rollback();
    expect(await guesses(one, head.draftVocab)).toEqual(expected);
    other.rollback();
    other.truncate(0);
    expect(await guesses(other, head.draftVocab)).toEqual(expected);
  });
});

describe("files of heads", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "espalier-head-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("a head of another vocabulary is refused, and says whose it is", async () => {
    await expect(loadHead(fixture("eagle-1.gguf"), target, tokens.toReversed())).rejects.toMatchObject({
      code: "wrong-head",
      message: expect.stringContaining("other tokens"),
    });
  });

  test("a model is no head", async () => {
    await expect(loadHead(fixture("target.gguf"), target, tokens)).rejects.toMatchObject({
      code: "bad-model",
      message: expect.stringContaining('its architecture is "llama"'),
    });
  });

  test.each([
    [
      "another kind",
      "eagle-fused",
      "eagle-fuzzy",
      "bad-model",
      /kind "eagle-fuzzy"; supported: eagle-1, eagle-fused/,
    ],
    ["a missing tensor", "fuse_norm.weight", "fuse_norm.waight", "missing-tensor", /fuse_norm\.weight/],
  ])("%s is named", async (_, from, to, code, message) => {
    const bytes = await readFile(fixture("eagle-fused.gguf"));
    bytes.write(to, bytes.indexOf(from, from === "eagle-fused" ? bytes.indexOf("espalier-eagle.kind") : 0));
    const path = join(folder, `${to}.gguf`);
    await writeFile(path, bytes);
    await expect(loadHead(path, target, tokens)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test.each([0, 2 ** 31])("a window of %d positions is refused", async (positions) => {
    const bytes = await readFile(fixture("window.gguf"));
    const key = "espalier-eagle.attention.sliding_window";
    bytes.writeUInt32LE(positions, bytes.indexOf(key) + key.length + 4);
    const path = join(folder, `window-${positions}.gguf`);
    await writeFile(path, bytes);
    await expect(loadHead(path, target, tokens)).rejects.toMatchObject({
      code: "bad-model",
      message: expect.stringMatching(new RegExp(`sliding_window" is ${positions}`)),
    });
  });

  test("a truncated head is an error wherever it ends", async () => {
    const bytes = await readFile(fixture("eagle-fused.gguf"));
    for (const part of [0, 0.01, 0.1, 0.4, 0.9, 0.999]) {
      const path = join(folder, `cut-${part}.gguf`);
      await writeFile(path, bytes.subarray(0, Math.floor(bytes.length * part)));
      await expect(loadHead(path, target, tokens)).rejects.toMatchObject({ name: "EspalierError" });
    }
  });
});
