/**
 * @file What the engine's binding does with arguments that make no sense: it throws or rejects, and touches no memory that is
 * not its own. Sanitizers (`scripts/test-sanitize.mjs`) see the second; without them a crash is what fails here.
 */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  type Binding,
  engine,
  type Handle,
  type PassRequest,
  type StoreLayout,
} from "../src/engine/binding.ts";
import { stackSpec } from "../src/engine/stack-spec.ts";
import { numbers, openWeights, randomLlama, withGguf } from "./native-model.ts";
import { storeBytes } from "./store-bytes.ts";

const binding = engine();
const next = numbers(11);
const of = <T>(list: readonly T[]): T => list[next(list.length)]!;
const ROUNDS = process.env.ESPALIER_TESTS === "few" ? 200 : 1000;

/** Arguments that are right, made anew for every call. */
type Arguments = { readonly [name in keyof Binding]: () => unknown[] };

let folder: string;
let right: Arguments;
let junk: readonly unknown[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-arguments-"));
  const shape = { layers: 2, heads: 2, kvHeads: 1, vocabSize: 40 };
  const { config, weights } = await withGguf(randomLlama(shape, 1), openWeights);
  const pool = binding.createPool(2)!;
  const stack = binding.createStack(pool, stackSpec(config, weights));
  const cache = binding.createCache(stack, 300, true)!;
  /** Those that are not ended go on holding their stacks and caches. */
  const aside = () => {
    const own = binding.createStack(binding.createPool(2)!, stackSpec(config, weights));
    const request = pass();
    const trees = request.trees.map((tree) => ({ ...tree, cache: binding.createCache(own, 300, true)! }));
    return { ...request, stack: own, trees };
  };
  const arena = binding.createArena(1 << 20)!;
  const matrix = binding.createMatrix(arena, 2, false, 40, 64)!;
  const freed = [
    binding.createPool(1)!,
    binding.createArena(100)!,
    binding.createCache(stack, 5, false)!,
  ] as Handle<string>[];
  for (const handle of freed) binding.release(handle);
  const count = 5;
  const pass = (penalised = next(2) === 0): PassRequest => ({
    stack,
    trees: [
      {
        cache,
        tokens: Int32Array.from({ length: count }, () => next(40)),
        parents: Int32Array.from({ length: count }, (_, node) => node - 1),
        size: count,
        first: 0,
        pick: { seed: next(100), scale: next(5), reach: next(9), topP: (1 + next(2)) / 2, ahead: next(9) },
        ...(penalised && {
          penalties: {
            repetition: next(3),
            frequency: next(3),
            presence: next(3),
            text: {
              size: 2,
              tokens: Int32Array.of(next(40), next(40)),
              generated: Int32Array.of(0, next(9)),
            },
          },
        }),
      },
    ],
    from: 0,
    to: 2,
    lastOnly: false,
    topK: 3,
    tokens: new Int32Array(3 * count),
    logProbs: new Float32Array(3 * count),
    ...(penalised && {
      penalisedK: 2,
      penalisedTokens: new Int32Array(2 * count),
      penalisedLogits: new Float32Array(2 * count),
    }),
    ...(penalised || next(2) === 0 ? { picks: new Int32Array(count) } : { ids: new Int32Array(40) }),
    logits: new Float32Array(40 * count),
    taps: Int32Array.of(2, 0),
    hiddenOut: new Float32Array(2 * count * 64),
    abort: new Int32Array(1),
    commit: next(2) === 0,
  });
  const chain = (): PassRequest => ({
    ...pass(false),
    lastOnly: true,
    ...{ logits: undefined, picks: undefined, ids: undefined, taps: undefined, hiddenOut: undefined },
    chain: { levels: 2, worth: next(2) / 2, odds: new Float64Array(16).fill(0.9), done: new Int32Array(2) },
  });
  const layout = await storeFile();
  right = {
    isas: () => [],
    currentIsa: () => [],
    selectIsa: () => ["generic"],
    release: () => [binding.createArena(64)],
    createPool: () => [2],
    matrixBytes: () => [2, false, 16, 32],
    createArena: () => [1000],
    createMatrix: () => [binding.createArena(100_000), 2, false, 16, 32],
    fillMatrix: () => [{ matrix, first: 0, rows: 40, bytes: new Uint8Array(40 * 36) }],
    gatheredBytes: () => [matrix, 3],
    gatherMatrix: () => [binding.createArena(100_000), matrix, Int32Array.of(39, 0, 7)],
    dense: () => [
      { matrix, bias: new Float32Array(40), input: new Float32Array(64), output: new Float32Array(40) },
    ],
    createStack: () => {
      const spec = stackSpec(config, weights);
      return [pool, { ...spec, layers: spec.layers.map((layer) => ({ ...layer })) }];
    },
    createCache: () => [stack, 100, true],
    cacheLength: () => [cache],
    cacheCommit: () => [cache, Int32Array.of(0, 1)],
    cacheArrange: () => [cache, Int32Array.of(0, 1)],
    cacheRollback: () => [cache],
    cacheTruncate: () => [cache, 0],
    cacheBytes: () => [cache],
    memoryBytes: () => [],
    cacheCopy: () => [cache, binding.createCache(stack, 100, true), 0, 0],
    cacheFill: () => [cache, 2, next(200)],
    prepareCache: () => [{ cache: binding.createCache(stack, 100, true), length: 70 }],
    forward: () => [next(2) === 0 ? pass() : chain()],
    forwardNow: () => [next(2) === 0 ? pass() : chain()],
    forwardBegin: () => [aside()],
    forwardEnd: () => [binding.forwardBegin(aside())],
    sortSuffixes: () => [
      {
        tokens: Int32Array.from({ length: 50 }, () => next(40)),
        alphabet: 40,
        suffixes: new Int32Array(50),
        abort: new Int32Array(1),
      },
    ],
    openStore: () => [{ ...layout }],
    matchStore: () => [
      binding.openStore(layout),
      Int32Array.of(next(4), next(4), next(4)),
      Int32Array.of(3, 1, 100, 5, 20),
      new Int32Array(3 + 3 * 20),
    ],
  };
  const thrower = new Proxy(
    {},
    {
      get() {
        throw new Error("no");
      },
    },
  );
  junk = [
    ...[undefined, null, true, false, "", "x".repeat(100), 1n, Symbol("s"), () => 1, {}, [], thrower],
    ...[
      0,
      -0,
      -1,
      1,
      2,
      3,
      7,
      15,
      16,
      17,
      127,
      128,
      129,
      1.5,
      2 ** 31 - 1,
      2 ** 31,
      -(2 ** 31),
      2 ** 53,
      1e300,
    ],
    ...[Number.NaN, Number.POSITIVE_INFINITY],
    ...[
      new Int32Array(0),
      Int32Array.of(-1, 40, 2 ** 31 - 1),
      Int32Array.of(-1, 0, 0, 7, 3),
      new Int32Array(500),
    ],
    ...[
      new Uint8Array(3),
      new Float32Array(1),
      new Float32Array(5000),
      new Float64Array(9),
      new BigInt64Array(2),
    ],
    ...[
      new ArrayBuffer(8),
      new DataView(new ArrayBuffer(8)),
      Buffer.alloc(7),
      Array(65).fill({}),
      Array(2000).fill(null),
    ],
    ...[pool, stack, cache, arena, matrix, binding.openStore(layout), ...freed],
  ];
});

afterAll(() => rm(folder, { recursive: true }));

/** A small datastore on disk, and where things are in it. */
async function storeFile(): Promise<StoreLayout> {
  const path = join(folder, "store.esd");
  const documents = [Array.from({ length: 60 }, () => next(4)), [1, 2, 3]];
  const file = storeBytes({ documents, vocabSize: 4 });
  await writeFile(path, file);
  const count = 60 + 3 + documents.length;
  return {
    path,
    bytes: file.length,
    tokensAt: 128,
    suffixesAt: file.length - 4 * count,
    count,
    width: 2,
    vocab: 4,
  };
}

/** One to three values of `args`, or of what they hold, become junk. */
function spoil(args: unknown[]): unknown[] {
  const spoilt = [...args];
  for (let left = of([1, 1, 2, 3]); left > 0; left--) {
    let inside = spoilt as unknown as Record<string, unknown>;
    for (;;) {
      const keys = Object.keys(inside);
      if (keys.length === 0) return [of(junk), of(junk)];
      const key = of(keys);
      const value = inside[key];
      const isPlain =
        Array.isArray(value) ||
        (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype);
      if (isPlain && Object.keys(value).length > 0 && next(4) > 0) inside = value as Record<string, unknown>;
      else {
        inside[key] = of(junk);
        break;
      }
    }
  }
  return next(20) === 0 ? spoilt.slice(1) : spoilt;
}

const names = Object.keys(binding).filter((name) => typeof binding[name as keyof Binding] === "function");

it("has right arguments for every function", async () => {
  expect(Object.keys(right).sort()).toEqual(names.sort());
  const before = binding.currentIsa();
  for (const name of names as (keyof Binding)[]) {
    await (binding[name] as (...args: unknown[]) => unknown)(...right[name]());
  }
  binding.selectIsa(before);
});

it.each(names)("%s takes wrong ones for what they are", async (name) => {
  const call = binding[name as keyof Binding] as (...args: unknown[]) => unknown;
  const before = binding.currentIsa();
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const args = right[name as keyof Binding]();
    const spoilt = spoil(args);
    // These may be what they say they are: nothing of it is wrong, and freeing them would end the test.
    if (name === "release" && junk.includes(spoilt[0])) continue;
    if (name === "createArena" && typeof spoilt[0] === "number" && spoilt[0] > 1e9) continue;
    try {
      await call(...spoilt);
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
      expect((error as Error).message.length).toBeGreaterThan(0);
      refused++;
    }
  }
  binding.selectIsa(before);
  if (!["isas", "currentIsa", "memoryBytes", "release"].includes(name)) expect(refused).toBeGreaterThan(0);
});

it("frees nothing that a pass works on, and runs no two passes on one thing", async () => {
  const [request] = right.forward() as [PassRequest];
  const { stack, trees } = request;
  const { cache } = trees[0]!;
  binding.cacheTruncate(cache, 0); // tests before may have filled it
  const running = binding.forward(request);
  const busy = /a pass runs on this handle/;
  for (const handle of [stack, cache]) expect(() => binding.release(handle)).toThrow(busy);
  expect(() => binding.forward((right.forward() as [PassRequest])[0])).toThrow(busy);
  for (const use of [binding.cacheRollback, (of: typeof cache) => binding.cacheTruncate(of, 0)]) {
    expect(() => use(cache)).toThrow(busy);
  }
  expect(() => binding.cacheCommit(cache, Int32Array.of(0))).toThrow(busy);
  // What the caller does to its arrays meanwhile does not matter, nor that it forgets them.
  trees[0]!.tokens.fill(2 ** 30);
  trees[0]!.parents.fill(2 ** 30);
  await running;
  await binding.forward((right.forward() as [PassRequest])[0]);
});

it("frees what is forgotten during a pass when that is over", async () => {
  const gc = globalThis.gc ?? (await exposeGc());
  const [request] = right.forward() as [PassRequest];
  const trees = request.trees as unknown as { cache: unknown }[];
  trees[0]!.cache = binding.createCache(request.stack, 10, true);
  const running = binding.forward(request);
  trees[0]!.cache = undefined;
  for (let i = 0; i < 3; i++) gc();
  await running;
  for (let i = 0; i < 3; i++) gc();
});

async function exposeGc(): Promise<() => void> {
  const { setFlagsFromString } = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
