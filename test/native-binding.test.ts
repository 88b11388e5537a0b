/** @file The engine below the target's contract: layer ranges, trees that grow, aborts, and requests that make no sense. */

import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ModelConfig } from "../src/checkpoint/config.ts";
import {
  type Cache,
  commitStatus,
  engine,
  type PassRequest,
  type Pool,
  type Stack,
} from "../src/engine/binding.ts";
import { stackSpec } from "../src/engine/stack-spec.ts";
import type { Weights } from "../src/engine/weights.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import { numbers, openWeights, randomLlama, randomTokens, withGguf } from "./native-model.ts";
import { randomPart, randomTree } from "./same-bits.ts";

const LAYERS = 4;
const file = randomLlama(
  {
    layers: LAYERS,
    hiddenSize: 192,
    heads: 3,
    kvHeads: 1,
    feedForwardSize: 160,
    vocabSize: 83,
    tiedHead: false,
  },
  5,
);
const TOP = 7;
const binding = engine();

interface Rows {
  readonly tokens: Int32Array;
  readonly logProbs: Float32Array;
  readonly logits: Float32Array;
  readonly hidden: Float32Array;
}

describe.each([1, 3])("the engine's binding, %i threads", (threads) => {
  const next = numbers(threads);
  let config: ModelConfig;
  let weights: Weights;
  let pool: Pool;
  let stack: Stack;

  beforeAll(async () => {
    ({ config, weights } = await withGguf(file, openWeights));
    pool = binding.createPool(threads)!;
    stack = binding.createStack(pool, stackSpec(config, weights));
  });
  afterAll(() => {
    for (const handle of [stack, pool, weights.arena]) binding.release(handle);
  });

  const newCache = (capacity = 300): Cache => binding.createCache(stack, capacity, true)!;

  const treeOf = (cache: Cache, tree: DraftTree, first = 0, size = tree.size) => {
    return { cache, tokens: tree.tokens, parents: tree.parents, size, first };
  };
  const chainOf = (cache: Cache, tokens: readonly number[]) => {
    const parents = Int32Array.from(tokens, (_, i) => i - 1);
    return { cache, tokens: Int32Array.from(tokens), parents, size: tokens.length, first: 0 };
  };

  /** A pass with memory for everything it may give, unless the request says otherwise. */
  async function forward(request: Partial<PassRequest> & Pick<PassRequest, "trees">): Promise<Rows> {
    const { from = 0, to = LAYERS, lastOnly = false, trees } = request;
    const count = trees.reduce((sum, tree) => sum + tree.size - tree.first, 0);
    const outputs = to < LAYERS ? 0 : lastOnly ? trees.length : count;
    const taps = request.taps ?? Int32Array.of(to);
    const rows: Rows = {
      tokens: new Int32Array(outputs * TOP),
      logProbs: new Float32Array(outputs * TOP),
      logits: new Float32Array(outputs * config.vocabSize),
      hidden: new Float32Array(taps.length * count * config.hiddenSize),
    };
    const head = outputs > 0 ? { topK: TOP, ...rows } : { topK: 0 };
    await binding.forward({
      stack,
      from,
      to,
      lastOnly,
      commit: false,
      ...head,
      taps,
      hiddenOut: rows.hidden,
      ...request,
    });
    return rows;
  }

  async function textCache(tokens: readonly number[], capacity?: number): Promise<Cache> {
    const cache = newCache(capacity);
    for (let at = 0; at < tokens.length; at += 100) {
      await forward({ trees: [chainOf(cache, tokens.slice(at, at + 100))], commit: true });
    }
    return cache;
  }

  const invalid = (message: RegExp) =>
    expect.objectContaining({ code: "invalid", message: expect.stringMatching(message) });

  it("gives the rows of a whole pass when its layers run in parts", async () => {
    const text = randomTokens(next, config.vocabSize, 140);
    const [whole, parts] = [await textCache(text), await textCache(text)];
    for (let round = 0; round < 6; round++) {
      const tree = randomTree(next, config.vocabSize, 1 + next(20));
      const expected = await forward({ trees: [treeOf(whole, tree)] });
      const cuts = [1 + next(LAYERS - 1), LAYERS];
      if (round === 0) cuts.splice(0, 2, 1, 2, 3, LAYERS);
      let from = 0;
      let input: Float32Array | undefined;
      let rows: Rows | undefined;
      const path = Int32Array.from(tree.path(next(tree.size)));
      for (const to of cuts) {
        if (from > 0) expect(binding.cacheCommit(parts, path)).toBe(commitStatus.invalid);
        rows = await forward({ trees: [treeOf(parts, tree)], from, to, input });
        input = rows.hidden;
        from = to;
      }
      expect(rows).toEqual(expected);
      for (const cache of [whole, parts]) expect(binding.cacheCommit(cache, path)).toBe(commitStatus.ok);
    }
  });

  it("runs later layers for the first nodes alone, and then commits those alone", async () => {
    const tree = randomTree(next, config.vocabSize, 9, 100);
    const [whole, parts] = [newCache(), newCache()];
    const expected = await forward({ trees: [treeOf(whole, tree)] });
    const first = await forward({ trees: [treeOf(parts, tree)], to: 2 });
    const width = config.hiddenSize;
    const rest = await forward({
      trees: [treeOf(parts, tree, 0, 4)],
      from: 2,
      input: first.hidden.subarray(0, 4 * width),
    });
    expect(rest.logits).toEqual(expected.logits.subarray(0, 4 * config.vocabSize));
    expect(binding.cacheCommit(parts, Int32Array.of(0, 1, 2, 3, 4))).toBe(commitStatus.invalid);
    expect(binding.cacheLength(parts)).toBe(0);
    const late = await forward({
      trees: [treeOf(parts, tree, 4)],
      from: 2,
      input: first.hidden.subarray(4 * width),
    });
    expect(late.logits).toEqual(expected.logits.subarray(4 * config.vocabSize));
    expect(binding.cacheCommit(parts, Int32Array.of(0, 1, 2, 3, 4))).toBe(commitStatus.ok);
  });

  it("gives the rows of a whole tree when it grows level by level, or by any steps", async () => {
    const text = randomTokens(next, config.vocabSize, 125);
    const [whole, grown] = [await textCache(text), await textCache(text)];
    for (let round = 0; round < 8; round++) {
      const tree = randomTree(next, config.vocabSize, 40);
      const expected = await forward({ trees: [treeOf(whole, tree)] });
      for (let size = 0; size < tree.size; ) {
        const first = size;
        size = Math.min(tree.size, first + 1 + next(round === 0 ? 1 : 12));
        const rows = await forward({ trees: [treeOf(grown, tree, first, size)] });
        const part = (values: Float32Array | Int32Array, width: number) =>
          values.subarray(first * width, size * width);
        expect(rows.logits).toEqual(part(expected.logits, config.vocabSize));
        expect(rows.tokens).toEqual(part(expected.tokens, TOP));
        expect(rows.logProbs).toEqual(part(expected.logProbs, TOP));
        expect(rows.hidden).toEqual(part(expected.hidden, config.hiddenSize));
      }
      const path = Int32Array.from(tree.path(next(tree.size)));
      for (const cache of [whole, grown]) expect(binding.cacheCommit(cache, path)).toBe(commitStatus.ok);
    }
  });

  it("gives the rows of a whole pass when nodes came in another order, and with others, through the first layers", async () => {
    const text = randomTokens(next, config.vocabSize, 140);
    const [whole, parts] = [await textCache(text), await textCache(text)];
    const width = config.hiddenSize;
    for (let round = 0; round < 12; round++) {
      const came = randomTree(next, config.vocabSize, 2 + next(60), round % 2 === 0 ? 1 : 100);
      const cut = 1 + next(LAYERS - 1);
      const first = await forward({ trees: [treeOf(parts, came)], to: cut });
      const { part: tree, nodes: order } = randomPart(next, came, 1 + next(came.size));
      const expected = await forward({ trees: [treeOf(whole, tree)] });
      expect(binding.cacheArrange(parts, Int32Array.from(order))).toBe(commitStatus.ok);
      const input = new Float32Array(order.length * width);
      for (const [i, node] of order.entries())
        input.set(first.hidden.subarray(node * width, (node + 1) * width), i * width);
      expect(await forward({ trees: [treeOf(parts, tree)], from: cut, input })).toEqual(expected);
      const path = Int32Array.from(tree.path(next(tree.size)));
      for (const cache of [whole, parts]) expect(binding.cacheCommit(cache, path)).toBe(commitStatus.ok);
    }
  });

  it("arranges nothing but pending nodes, each once and behind its parent", async () => {
    const cache = newCache();
    const arrange = (...nodes: number[]) => binding.cacheArrange(cache, Int32Array.from(nodes));
    expect(arrange(0)).toBe(commitStatus.invalid);
    const tree = new DraftTree(1, 4);
    for (const parent of [0, 1, 0]) tree.push(parent, 2 + tree.size, 1);
    await forward({ trees: [treeOf(cache, tree)] });
    for (const nodes of [[], [1], [0, 2], [0, 1, 1], [0, 0], [0, 4], [0, -1], [1, 0], [0, 1, 2, 3, 3]]) {
      expect(arrange(...nodes), `[${nodes}]`).toBe(commitStatus.invalid);
    }
    expect(binding.cacheArrange(cache, new Int32Array(1000))).toBe(commitStatus.invalid);
    expect(() => binding.cacheArrange(cache, [0] as unknown as Int32Array)).toThrow(/internal/);
    expect(arrange(0, 3, 1)).toBe(commitStatus.ok);
    expect(binding.cacheCommit(cache, Int32Array.of(0, 2, 3))).toBe(commitStatus.invalid);
    expect(binding.cacheCommit(cache, Int32Array.of(0, 2))).toBe(commitStatus.ok);
  });

  it("gives hidden states of any layers, in any order", async () => {
    const tree = randomTree(next, config.vocabSize, 11);
    const cache = newCache();
    const alone: Float32Array[] = [];
    for (let layer = 0; layer <= LAYERS; layer++) {
      const taps = Int32Array.of(layer);
      alone.push((await forward({ trees: [treeOf(cache, tree)], taps })).hidden);
    }
    const order = [4, 0, 2, 2, 1, 3];
    const { hidden } = await forward({ trees: [treeOf(cache, tree)], taps: Int32Array.from(order) });
    const size = tree.size * config.hiddenSize;
    for (const [i, layer] of order.entries()) {
      expect(hidden.subarray(i * size, (i + 1) * size)).toEqual(alone[layer]);
    }
    expect(new Set(alone.map((rows) => rows.join())).size).toBe(LAYERS + 1);
  });

  it("gives the last row of each tree alone when that is asked for", async () => {
    const trees = [5, 1, 17].map((size) => randomTree(next, config.vocabSize, size));
    const caches: Cache[] = [];
    for (const length of [0, 300, 40])
      caches.push(await textCache(randomTokens(next, config.vocabSize, length)));
    const request = {
      trees: trees.map((tree, i) => treeOf(caches[i]!, tree)),
      taps: Int32Array.of(1, LAYERS),
    };
    const all = await forward(request);
    const last = await forward({ ...request, lastOnly: true });
    const size = config.hiddenSize;
    // Of a tap after the last layer there are those rows alone, of one before it all.
    const states = last.hidden.subarray(23 * size, 26 * size);
    expect(last.hidden.subarray(0, 23 * size)).toEqual(all.hidden.subarray(0, 23 * size));
    for (const [i, row] of [4, 5, 22].entries()) {
      const state = all.hidden.subarray((23 + row) * size, (24 + row) * size);
      expect(states.subarray(i * size, (i + 1) * size)).toEqual(state);
      for (const [name, width] of [
        ["logits", config.vocabSize],
        ["tokens", TOP],
        ["logProbs", TOP],
      ] as const) {
        const expected = all[name].subarray(row * width, (row + 1) * width);
        expect(last[name].subarray(i * width, (i + 1) * width)).toEqual(expected);
      }
    }
  });

  it("keeps the same keys and values whether something is asked of rows or nothing", async () => {
    const text = randomTokens(next, config.vocabSize, 150);
    const bare = newCache();
    for (let at = 0; at < text.length; at += 100) {
      const trees = [chainOf(bare, text.slice(at, at + 100))];
      await forward({
        trees,
        topK: 0,
        logits: undefined,
        taps: undefined,
        hiddenOut: undefined,
        commit: true,
      });
    }
    const tree = randomTree(next, config.vocabSize, 9);
    const [expected, found] = [
      await forward({ trees: [treeOf(await textCache(text), tree)] }),
      await forward({ trees: [treeOf(bare, tree)] }),
    ];
    expect(found).toEqual(expected);
  });

  it("leaves the cache as it was when a pass is aborted, before it begins or between layers", async () => {
    const text = randomTokens(next, config.vocabSize, 90);
    const [cache, fresh] = [await textCache(text), await textCache(text)];
    const chain = randomTokens(next, config.vocabSize, 128);
    const outcomes = new Set<string>();
    for (let round = 0; round < 30; round++) {
      const abort = Int32Array.of(round === 0 ? 1 : 0);
      const pass = forward({ trees: [chainOf(cache, chain)], abort });
      if (round > 0) setImmediate(() => Atomics.store(abort, 0, 1));
      const code = await pass.then(
        () => "done",
        (error) => error.code as string,
      );
      outcomes.add(code);
      if (code === "aborted") {
        expect(binding.cacheCommit(cache, Int32Array.of(0))).toBe(commitStatus.invalid);
      }
      binding.cacheRollback(cache);
      expect(binding.cacheLength(cache)).toBe(text.length);
    }
    expect(outcomes).toContain("aborted");
    const tree = randomTree(next, config.vocabSize, 20);
    expect(await forward({ trees: [treeOf(cache, tree)] })).toEqual(
      await forward({ trees: [treeOf(fresh, tree)] }),
    );
  });

  it("holds just what was committed, whatever comes between a commit and the next pass", async () => {
    let [cache, other] = [newCache(), newCache()];
    let text: number[] = [];
    const grown = async () => {
      const tree = randomTree(next, config.vocabSize, 1 + next(12));
      const path = tree.path(next(tree.size));
      return { tree, path: Int32Array.from(path), tokens: path.map((node) => tree.tokens[node]!) };
    };
    const commit = async () => {
      const { tree, path, tokens } = await grown();
      await forward({ trees: [treeOf(cache, tree)] });
      expect(binding.cacheCommit(cache, path)).toBe(commitStatus.ok);
      text.push(...tokens);
    };
    const truncate = async () => {
      // Often into what the newest commit kept.
      text = text.slice(0, Math.max(0, text.length - next(6)));
      expect(binding.cacheTruncate(cache, text.length)).toBe(true);
    };
    const inParts = async () => {
      const { tree, path, tokens } = await grown();
      const cut = 1 + next(LAYERS - 1);
      const first = await forward({ trees: [treeOf(cache, tree)], to: cut });
      if (next(2)) {
        const order = Int32Array.from({ length: tree.size }, (_, i) => i).subarray(0, 1 + next(tree.size));
        expect(binding.cacheArrange(cache, order)).toBe(commitStatus.ok);
        return binding.cacheRollback(cache);
      }
      if (next(2)) return binding.cacheRollback(cache);
      await forward({ trees: [treeOf(cache, tree)], from: cut, input: first.hidden });
      expect(binding.cacheCommit(cache, path)).toBe(commitStatus.ok);
      text.push(...tokens);
    };
    const abort = async () => {
      const { tree } = await grown();
      const flag = Int32Array.of(next(2));
      const pass = forward({ trees: [treeOf(cache, tree)], abort: flag }).catch(({ code }) => code);
      Atomics.store(flag, 0, 1);
      if ((await pass) !== "aborted") binding.cacheRollback(cache);
    };
    const copy = async () => {
      expect(binding.cacheCopy(other, cache, 0, text.length)).toBe(commitStatus.ok);
      [cache, other] = [other, cache];
    };
    for (let round = 0; round < 120; round++) {
      await commit();
      for (let more = next(3); more > 0; more--) await [commit, truncate, inParts, abort, copy][next(5)]!();
      if (text.length > 150) {
        text = text.slice(0, 100 + next(40));
        expect(binding.cacheTruncate(cache, text.length)).toBe(true);
      }
      const { tree } = await grown();
      const fresh = await forward({ trees: [treeOf(await textCache(text), tree)] });
      expect(await forward({ trees: [treeOf(cache, tree)] }), `round ${round}`).toEqual(fresh);
    }
  });

  it("commits nothing but paths from the root whose rows are there", async () => {
    const cache = await textCache([1, 2, 3], 8);
    const commit = (...path: number[]) => binding.cacheCommit(cache, Int32Array.from(path));
    expect(commit(0)).toBe(commitStatus.invalid);
    // 0 - 1 - 2 and 0 - 3
    const tree = {
      cache,
      tokens: Int32Array.of(1, 2, 3, 4),
      parents: Int32Array.of(-1, 0, 1, 0),
      size: 4,
      first: 0,
    };
    await forward({ trees: [tree] });
    for (const path of [[], [1], [0, 2], [0, 3, 2], [0, 1, 3], [0, 0], [0, 4], [0, -1], [-1], [2 ** 30]]) {
      expect(commit(...path), `[${path}]`).toBe(commitStatus.invalid);
    }
    expect(binding.cacheCommit(cache, new Int32Array(1000))).toBe(commitStatus.invalid);
    expect(binding.cacheCommit(cache, new Float32Array(1) as unknown as Int32Array)).toBe(
      commitStatus.invalid,
    );
    expect(() => binding.cacheCommit(cache, [0] as unknown as Int32Array)).toThrow(/internal/);
    expect(binding.cacheLength(cache)).toBe(3);
    expect(commit(0, 1, 2)).toBe(commitStatus.ok);
    expect(commit(0)).toBe(commitStatus.invalid);
    await forward({ trees: [chainOf(cache, [1, 2, 3])] });
    expect(commit(0, 1, 2)).toBe(commitStatus.full);
    expect(commit(0, 1)).toBe(commitStatus.ok);
    expect(binding.cacheLength(cache)).toBe(8);
    expect(binding.cacheTruncate(cache, 9)).toBe(false);
    expect(binding.cacheTruncate(cache, -1)).toBe(false);
    expect(() => binding.cacheTruncate(cache, 0.5)).toThrow(/internal/);
  });

  it("copies the beginning of a text into another cache of its kind alone", async () => {
    const [from, other] = [newCache(300), newCache(200)];
    const text = randomTokens(next, 83, 100);
    for (let i = 0; i < 2; i++) await forward({ trees: [chainOf(from, text)], commit: true });
    const empty = binding.cacheBytes(other);
    expect(binding.cacheCopy(other, from, 0, 130)).toBe(commitStatus.ok);
    expect(binding.cacheCopy(other, from, 130, 150)).toBe(commitStatus.ok);
    expect(binding.cacheLength(other)).toBe(150);
    expect(binding.cacheBytes(other)).toBeGreaterThan(empty);
    expect(binding.cacheCopy(other, from, 0, 0)).toBe(commitStatus.ok);
    expect(binding.cacheLength(other)).toBe(0);
    expect(binding.cacheCopy(newCache(100), from, 0, 150)).toBe(commitStatus.full);
    const wide = binding.createCache(stack, 300, false)!;
    const wrong: [Cache, Cache, number][] = [
      [other, from, 201],
      [other, from, -1],
      [from, from, 3],
      [wide, from, 3],
    ];
    for (const [to, source, length] of wrong) {
      expect(binding.cacheCopy(to, source, 0, length)).toBe(commitStatus.invalid);
    }
    for (const [known, length] of [
      [1, 10],
      [-1, 10],
    ] as const)
      expect(binding.cacheCopy(other, from, known, length)).toBe(commitStatus.invalid);
    expect(() => binding.cacheCopy(other, from, 0, 0.5)).toThrow(/internal/);
    expect(binding.cacheLength(other)).toBe(0);
    expect(binding.cacheCopy(other, from, 0, 20)).toBe(commitStatus.ok);
    expect(binding.cacheCopy(other, from, 20, 19)).toBe(commitStatus.invalid);
    expect(binding.cacheLength(other)).toBe(20);
  });

  it("fills a cache with a text that nobody has read, for passes through the layers that have it", async () => {
    const rowsOf = async (cache: Cache, to: number) =>
      (await forward({ trees: [chainOf(cache, [1, 2, 3])], to })).hidden;
    const commit = (cache: Cache) => binding.cacheCommit(cache, Int32Array.of(0, 1, 2));
    const [cache, other] = [newCache(), newCache()];
    for (const one of [cache, other]) expect(binding.cacheFill(one, 2, 200)).toBe(commitStatus.ok);
    expect(binding.cacheLength(cache)).toBe(200);
    const rows = await rowsOf(cache, 2);
    expect(rows.every(Number.isFinite)).toBe(true);
    expect(rows).toEqual(await rowsOf(other, 2));
    expect(rows).not.toEqual(await rowsOf(newCache(), 2));
    // No pass sees a layer that has no text, and nothing comes to lie behind it.
    const refused = invalid(/fewer layers/);
    for (const to of [3, LAYERS]) await expect(rowsOf(cache, to)).rejects.toEqual(refused);
    await expect(forward({ trees: [chainOf(cache, [1])], from: 2, input: rows })).rejects.toEqual(refused);
    expect(commit(cache)).toBe(commitStatus.invalid);
    expect(binding.cacheTruncate(cache, 150)).toBe(true);
    await expect(rowsOf(cache, 3)).rejects.toEqual(refused);
    expect(binding.cacheCopy(newCache(), cache, 0, 100)).toBe(commitStatus.invalid);
    // Empty again, or with another text, it is as good as new.
    const text = randomTokens(next, config.vocabSize, 60);
    const plain = await textCache(text);
    const expected = await rowsOf(plain, LAYERS);
    expect(binding.cacheCopy(other, plain, 30, 60)).toBe(commitStatus.invalid);
    expect(binding.cacheCopy(other, plain, 0, 60)).toBe(commitStatus.ok);
    expect(await rowsOf(other, LAYERS)).toEqual(expected);
    expect(binding.cacheTruncate(cache, 0)).toBe(true);
    await forward({ trees: [chainOf(cache, text)], commit: true });
    expect(await rowsOf(cache, LAYERS)).toEqual(expected);
    expect(commit(cache)).toBe(commitStatus.ok);
    // Filled through all layers it is a text like any other.
    expect(binding.cacheFill(cache, LAYERS, 200)).toBe(commitStatus.ok);
    await rowsOf(cache, LAYERS);
    expect(commit(cache)).toBe(commitStatus.ok);
    const wide = binding.createCache(stack, 200, false)!;
    expect(binding.cacheFill(wide, LAYERS, 190)).toBe(commitStatus.ok);
    expect((await rowsOf(wide, LAYERS)).every(Number.isFinite)).toBe(true);
    for (const [layers, length] of [
      [0, 10],
      [LAYERS + 1, 10],
      [-1, 10],
      [1, 0],
      [1, -1],
      [2 ** 31 - 1, 2 ** 31 - 1],
    ] as const)
      expect(binding.cacheFill(wide, layers, length)).toBe(commitStatus.invalid);
    expect(binding.cacheFill(wide, 1, 201)).toBe(commitStatus.full);
    expect(() => binding.cacheFill(wide, 1, 0.5)).toThrow(/internal/);
    expect(binding.cacheLength(wide)).toBe(190);
  });

  // On other systems, and under sanitizers, nobody counts.
  const counts = process.platform === "linux" && process.env.ESPALIER_NATIVE === undefined;
  it.runIf(counts)("counts the bytes in use, and those of freed caches that are kept", async () => {
    const used = () => binding.memoryBytes()!.used;
    const before = used();
    const cache = newCache(10_000);
    await binding.prepareCache({ cache, length: 10_000 });
    const bytes = binding.cacheBytes(cache);
    expect(bytes).toBeGreaterThan(2 ** 20);
    expect(used() - before).toBeGreaterThanOrEqual(bytes);
    binding.release(cache);
    expect(used()).toBe(before);
    expect(binding.memoryBytes()!.kept).toBeLessThanOrEqual(96 * 2 ** 20);
  });

  it("brings a cache's memory before a text is read, and keeps what is there", async () => {
    const [cache, plain] = [newCache(300), newCache(300)];
    const text = randomTokens(next, 83, 60);
    const rows: Float32Array[] = [];
    for (const one of [cache, plain]) {
      if (one === cache) await binding.prepareCache({ cache, length: 130 });
      const ready = binding.cacheBytes(one);
      await forward({ trees: [chainOf(one, text)], commit: true });
      if (one === cache) {
        expect(binding.cacheBytes(one)).toBe(ready);
        expect(ready).toBeGreaterThan(binding.cacheBytes(newCache(300)));
        await binding.prepareCache({ cache, length: 300 });
      }
      const logits = new Float32Array(3 * 83);
      await forward({ trees: [chainOf(one, [1, 2, 3])], logits });
      rows.push(logits);
    }
    expect(rows[0]).toEqual(rows[1]);
    expect(rows[0]!.some((value) => value !== 0)).toBe(true);
    for (const length of [-1, 301])
      await expect(binding.prepareCache({ cache, length })).rejects.toMatchObject({ code: "no-memory" });
  });

  it("says what is wrong with a pass, and runs nothing", async () => {
    const cache = newCache(64);
    const good = chainOf(cache, [1, 2, 3]);
    const rule = { seed: 1, scale: 1, reach: 1 };
    const other = newCache(64);
    const listed = {
      penalisedK: 1,
      penalisedTokens: new Int32Array(99_999),
      penalisedLogits: new Float32Array(99_999),
    };
    const withPenalties = (changed = {}, tokens = [1, 2], generated = 1) => {
      const text = {
        size: tokens.length,
        tokens: Int32Array.from(tokens),
        generated: new Int32Array(tokens.length).fill(generated),
      };
      return { ...good, penalties: { repetition: 1.1, frequency: 0, presence: 0, text, ...changed } };
    };
    const wrong: [string, Partial<PassRequest>, RegExp][] = [
      ["a token out of range", { trees: [chainOf(cache, [1, 83])] }, /vocabulary/],
      ["a negative token", { trees: [chainOf(cache, [-1])] }, /vocabulary/],
      ["a parent after its child", { trees: [{ ...good, parents: Int32Array.of(-1, 2, 0) }] }, /parent/],
      ["a second root", { trees: [{ ...good, parents: Int32Array.of(-1, -1, 0) }] }, /parent/],
      ["a root with a parent", { trees: [{ ...good, parents: Int32Array.of(0, 0, 0) }] }, /parent/],
      ["two trees with one cache", { trees: [good, good] }, /share a cache/],
      [
        "too many nodes together",
        { trees: [chainOf(cache, Array(100).fill(1)), chainOf(other, Array(29).fill(1))] },
        /too many nodes/,
      ],
      ["nodes that are not pending", { trees: [{ ...good, first: 1 }] }, /not pending/],
      ["layers backwards", { trees: [good], from: 2, to: 1 }, /range of layers/],
      ["a layer too many", { trees: [good], to: LAYERS + 1 }, /range of layers/],
      ["layers before the first", { trees: [good], from: -1 }, /range of layers/],
      ["later layers without input", { trees: [good], from: 1 }, /hidden states/],
      ["a head before the last layer", { trees: [good], to: 2, topK: 1 }, /no head/],
      [
        "a tap outside the layers",
        { trees: [good], to: 2, topK: 0, logits: undefined, taps: Int32Array.of(3) },
        /tap/,
      ],
      ["a pick without the best token", { trees: [good], picks: new Int32Array(9), topK: 0 }, /best token/],
      ["a scale that is no number", { trees: [{ ...good, pick: { ...rule, scale: Number.NaN } }] }, /scale/],
      ["a top-p of 0", { trees: [{ ...good, pick: { ...rule, topP: 0 } }] }, /top_p/],
      ["a top-p that is no number", { trees: [{ ...good, pick: { ...rule, topP: Number.NaN } }] }, /top_p/],
      ["a reach below 0", { trees: [{ ...good, pick: { ...rule, reach: -1 } }] }, /reach/],
      [
        "a text before all positions",
        { trees: [{ ...good, pick: { ...rule, ahead: -1 } }] },
        /before its cache/,
      ],
      [
        "a pick where noise makes the list",
        { trees: [good], picks: new Int32Array(9), ids: new Int32Array(83) },
        /noise/,
      ],
      ["penalties without room for the best tokens", { trees: [withPenalties()] }, /best tokens/],
      ["penalties without top tokens", { trees: [withPenalties()], topK: 0, ...listed }, /top tokens/],
      ["more penalised tokens than tokens", { trees: [good], ...listed, penalisedK: 84 }, /penalised_k/],
      ["a penalty below 0", { trees: [withPenalties({ repetition: -1 })], ...listed }, /out of range/],
      [
        "a penalty that is no number",
        { trees: [withPenalties({ repetition: Number.NaN })], ...listed },
        /range/,
      ],
      ["an infinite penalty", { trees: [withPenalties({ frequency: Infinity })], ...listed }, /range/],
      ["a penalised token too large", { trees: [withPenalties({}, [83])], ...listed }, /vocabulary/],
      ["a penalised token below 0", { trees: [withPenalties({}, [5, -1])], ...listed }, /vocabulary/],
      ["a count below 0", { trees: [withPenalties({}, [5], -1)], ...listed }, /so often/],
      ["a count too large", { trees: [withPenalties({}, [5], 2 ** 31 - 1)], ...listed }, /so often/],
      ["more top tokens than tokens", { trees: [good], topK: 84 }, /top_k/],
    ];
    for (const [name, request, message] of wrong) {
      const room = { tokens: new Int32Array(99_999), logProbs: new Float32Array(99_999) };
      const pass = forward({ trees: [good], ...room, ...request });
      await expect(pass, name).rejects.toEqual(invalid(message));
      expect(binding.cacheCommit(cache, Int32Array.of(0)), name).toBe(commitStatus.invalid);
    }
  });

  it("keeps nothing of a pass that is refused for another text's tree", async () => {
    const [cache, other] = [newCache(), newCache()];
    const trees = [chainOf(cache, [1, 2]), { ...chainOf(other, [1, 2]), parents: Int32Array.of(-1, 5) }];
    await expect(forward({ trees })).rejects.toEqual(invalid(/parent/));
    expect(binding.cacheCommit(cache, Int32Array.of(0, 1))).toBe(commitStatus.invalid);
  });

  it("refuses requests of the wrong form at once", async () => {
    const cache = newCache(64);
    const good = chainOf(cache, [1, 2, 3]);
    const small = new Float32Array(1);
    const text = { size: 1, tokens: Int32Array.of(1), generated: Int32Array.of(0) };
    const penalties = { repetition: 1.1, frequency: 0, presence: 0, text };
    const wrong: Record<string, unknown>[] = [
      { trees: [] },
      { trees: undefined },
      { trees: Array(65).fill(good) },
      { trees: [{ ...good, size: 0 }] },
      { trees: [{ ...good, size: 129 }] },
      { trees: [{ ...good, first: 3 }] },
      { trees: [{ ...good, first: -1 }] },
      { trees: [{ ...good, size: 4 }] },
      { trees: [{ ...good, tokens: [1, 2, 3] }] },
      { trees: [{ ...good, tokens: Float32Array.of(1, 2, 3) }] },
      { trees: [{ ...good, parents: Int32Array.of(-1, 0) }] },
      { trees: [{ ...good, cache: stack }] },
      { trees: [{ ...good, cache: null }] },
      { trees: [null] },
      { stack: cache },
      { stack: {} },
      { topK: -1 },
      { topK: 257 },
      { topK: 1.5 },
      { topK: "1" },
      { logits: small },
      { tokens: new Int32Array(2) },
      { tokens: undefined },
      { logProbs: small },
      { picks: new Int32Array(2) },
      { picks: small },
      { trees: [{ ...good, pick: 1 }] },
      { trees: [{ ...good, pick: { seed: -1, scale: 1, reach: 1 } }] },
      { trees: [{ ...good, pick: { seed: 2 ** 32, scale: 1, reach: 1 } }] },
      { trees: [{ ...good, pick: { seed: 0.5, scale: 1, reach: 1 } }] },
      { trees: [{ ...good, pick: { seed: 1, scale: "1", reach: 1 } }] },
      { trees: [{ ...good, pick: { seed: 1, scale: 1 } }] },
      { trees: [{ ...good, pick: { seed: 1, scale: 1, reach: 1, topP: "1" } }] },
      { trees: [{ ...good, pick: { seed: 1, scale: 1, reach: 1, ahead: 0.5 } }] },
      { trees: [{ ...good, penalties: 1 }] },
      { trees: [{ ...good, penalties: { ...penalties, repetition: "1" } }] },
      { trees: [{ ...good, penalties: { ...penalties, text: undefined } }] },
      { trees: [{ ...good, penalties: { ...penalties, text: { ...penalties.text, size: -1 } } }] },
      { trees: [{ ...good, penalties: { ...penalties, text: { ...penalties.text, size: 2 } } }] },
      { trees: [{ ...good, penalties: { ...penalties, text: { ...penalties.text, tokens: [1] } } }] },
      { trees: [{ ...good, penalties: { ...penalties, text: { ...penalties.text, generated: small } } }] },
      { penalisedK: -1 },
      { penalisedK: 257 },
      { penalisedK: 0.5 },
      { penalisedK: 1 },
      { penalisedK: 1, penalisedTokens: new Int32Array(3), penalisedLogits: small },
      { penalisedK: 1, penalisedTokens: small, penalisedLogits: new Float32Array(3) },
      { ids: new Int32Array(82) },
      { ids: new Float32Array(83) },
      { input: small },
      { hiddenOut: small },
      { hiddenOut: undefined },
      { taps: [1] },
      { abort: new Int32Array(0) },
      { abort: Float32Array.of(1) },
      { from: Number.NaN },
      { to: 2 ** 40 },
      { lastOnly: 1 },
      { commit: undefined },
    ];
    const whole = {
      stack,
      trees: [good],
      from: 0,
      to: LAYERS,
      lastOnly: false,
      commit: false,
      topK: TOP,
      tokens: new Int32Array(3 * TOP),
      logProbs: new Float32Array(3 * TOP),
      logits: new Float32Array(3 * config.vocabSize),
      taps: Int32Array.of(0),
      hiddenOut: new Float32Array(3 * config.hiddenSize),
    };
    for (const part of wrong) {
      const request = { ...whole, ...part } as unknown as PassRequest;
      expect(() => binding.forward(request), inspect(part)).toThrow();
    }
    expect(() => binding.forward(undefined as unknown as PassRequest)).toThrow();
    expect(() => (binding.cacheLength as unknown as () => void)()).toThrow(/missing arguments/);
    await binding.forward(whole);
  });

  it("refuses caches of another model", async () => {
    const narrow = await withGguf(randomLlama({ heads: 2, kvHeads: 1 }, 1), openWeights);
    const otherStack = binding.createStack(pool, stackSpec(narrow.config, narrow.weights));
    const cache = binding.createCache(otherStack, 10, true)!;
    await expect(forward({ trees: [chainOf(cache, [1])] })).rejects.toEqual(invalid(/another stack/));
    for (const handle of [cache, otherStack, narrow.weights.arena]) binding.release(handle);
  });

  it("refuses caches and threads that cannot be", () => {
    for (const capacity of [0, -1, 2 ** 24 + 1]) {
      expect(binding.createCache(stack, capacity, true)).toBeNull();
    }
    for (const count of [0, -1, 65]) expect(binding.createPool(count)).toBeNull();
    for (const capacity of [0.5, Number.NaN, 2 ** 31, undefined]) {
      expect(() => binding.createCache(stack, capacity as number, true)).toThrow(/internal/);
    }
  });

  it("refuses what was freed, and what rests on it", async () => {
    const mine = await withGguf(file, openWeights);
    const myPool = binding.createPool(1)!;
    const spec = stackSpec(mine.config, mine.weights);
    const myStack = binding.createStack(myPool, spec);
    const cache = binding.createCache(myStack, 10, true)!;
    const run = () => forward({ stack: myStack, trees: [chainOf(cache, [1])] });
    await run();
    binding.release(mine.weights.arena);
    await expect(run).rejects.toThrow(/not a live handle/);
    expect(() => binding.createStack(myPool, spec)).toThrow(/not a live handle/);
    expect(() => binding.createMatrix(mine.weights.arena, 2, false, 16, 32)).toThrow(/not a live handle/);
    const bytes = new Uint8Array(32 * 18);
    expect(() => binding.fillMatrix({ matrix: mine.weights.embedding, first: 0, rows: 1, bytes })).toThrow(
      /not a live handle/,
    );
    binding.release(myPool);
    expect(() => binding.createStack(myPool, spec)).toThrow(/not a live handle/);
    binding.release(myStack);
    expect(() => binding.createCache(myStack, 10, true)).toThrow(/not a live handle/);
    expect(binding.cacheLength(cache)).toBe(0);
    binding.release(cache);
    binding.release(cache);
    for (const use of [binding.cacheLength, binding.cacheRollback]) {
      expect(() => use(cache)).toThrow(/not a live handle/);
    }
    expect(() => binding.cacheCommit(cache, Int32Array.of(0))).toThrow(/not a live handle/);
    await expect(() => forward({ trees: [chainOf(cache, [1])] })).rejects.toThrow(/not a live handle/);
  });

  it("refuses a stack whose pool was freed", async () => {
    const myPool = binding.createPool(2)!;
    const myStack = binding.createStack(myPool, stackSpec(config, weights));
    binding.release(myPool);
    const cache = newCache(10);
    await expect(() => forward({ stack: myStack, trees: [chainOf(cache, [1])] })).rejects.toThrow(
      /not a live handle/,
    );
    binding.release(myStack);
  });

  it("refuses stacks whose parts do not fit together", () => {
    const spec = stackSpec(config, weights);
    const [first, ...rest] = spec.layers;
    const wrong: [object, RegExp][] = [
      [{ hidden: 191 }, /hidden/],
      [{ hidden: 160 }, /shape/],
      [{ feed: 192 }, /shape/],
      [{ heads: 2, kvHeads: 3 }, /multiple/],
      [{ kvHeads: 3 }, /shape/],
      [{ headSize: 16 }, /head_size/],
      [{ ropeDims: 0 }, /rope_dims/],
      [{ ropeDims: 66 }, /rope_dims/],
      [{ ropes: [] }, /ropes must be 1 to 4/],
      [{ ropes: [{ base: 0, amplitude: 1 }] }, /base/],
      [{ ropes: [{ base: Number.NaN, amplitude: 1 }] }, /base/],
      [{ ropes: [{ base: 1e4, amplitude: 0 }] }, /amplitude/],
      [{ ropes: [{ base: 1e4, amplitude: 1, factors: new Float32Array(32) }] }, /factor/],
      [{ ropes: [{ base: 1e4, amplitude: 1, factors: new Float32Array(31) }] }, /32 elements/],
      [{ normEpsilon: -1 }, /norm_epsilon/],
      [{ vocab: 84 }, /shape/],
      [{ vocab: 0 }, /vocab/],
      [{ finalNorm: undefined }, /norm/],
      [{ finalNorm: new Float32Array(3) }, /finalNorm/],
      [{ layers: [] }, /layers/],
      [{ layers: [{ ...first!, query: first!.key }, ...rest] }, /shape/],
      [{ layers: [{ ...first!, query: undefined }, ...rest] }, /live handle/],
      [{ layers: [{ ...first!, attentionNorm: new Float32Array(1) }, ...rest] }, /attentionNorm/],
      [{ layers: [{ ...first!, feedNorm: undefined }, ...rest] }, /feedNorm/],
    ];
    for (const [part, message] of wrong) {
      expect(() => binding.createStack(pool, { ...spec, ...part })).toThrow(message);
    }
  });

  it("refuses weights that do not fit", async () => {
    const arena = binding.createArena(binding.matrixBytes(2, false, 33, 64))!;
    for (const [type, rows, cols] of [
      [1, 33, 64],
      [2, 0, 64],
      [2, 33, 63],
      [2, 33, 0],
      [2, -1, 64],
      [2, 2 ** 25, 64],
      [2, 49, 64],
    ] as const) {
      expect(binding.createMatrix(arena, type, false, rows, cols), `${type} ${rows} x ${cols}`).toBeNull();
    }
    const matrix = binding.createMatrix(arena, 2, false, 33, 64)!;
    expect(binding.createMatrix(arena, 2, false, 33, 64)).toBeNull();
    const bytes = new Uint8Array(33 * 36);
    await binding.fillMatrix({ matrix, first: 0, rows: 33, bytes });
    await binding.fillMatrix({ matrix, first: 32, rows: 1, bytes });
    const place = { matrix, bytes };
    for (const [first, rows] of [
      [16, 33],
      [8, 1],
      [32, 2],
      [48, 1],
      [-16, 1],
    ] as const) {
      await expect(binding.fillMatrix({ ...place, first, rows })).rejects.toEqual(invalid(/outside/));
    }
    expect(() => binding.fillMatrix({ ...place, first: 0, rows: 34 })).toThrow(/outside/);
    expect(() => binding.fillMatrix({ ...place, first: 0, rows: -1 })).toThrow(/outside/);
    expect(() =>
      binding.fillMatrix({ matrix, first: 0, rows: 33, bytes: new Uint8Array(33 * 36 - 1) }),
    ).toThrow(/typed array/);
    binding.release(arena);
  });
});
