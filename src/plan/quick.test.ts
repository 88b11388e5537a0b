/** @file Tests of the quick measuring on a machine whose clock only passes move. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { TargetSequence } from "../target/target.ts";
import { ToyTarget } from "../target/toy.ts";
import { CostCurve } from "./cost.ts";
import { quickPassTimes } from "./quick.ts";

let now = 0;
beforeEach(() => {
  now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => {
  vi.restoreAllMocks();
});

interface Machine {
  readonly ms: (rows: number) => number;
  readonly perToken: (rows: number) => number;
  readonly layers: number;
  /** Positions that layer i sees; default: all. */
  readonly window?: (layer: number) => number;
  readonly layerTokenBytes?: number;
  readonly contextLength?: number;
  readonly maxNodes?: number;
  readonly noise?: () => number;
  /** Whether its caches can be filled; default: yes. */
  readonly fills?: boolean;
}

/** A toy whose passes take what the machine says, and what was done with it. */
function machine({ contextLength = 8192, maxNodes = 128, noise = () => 1, ...of }: Machine) {
  const seen = { rows: new Set<number>(), layers: new Set<number>(), lengths: new Set<number>(), open: 0 };
  const attended = (length: number, layers = of.layers) => {
    let sum = 0;
    for (let i = 0; i < layers; i++) sum += Math.min(length, of.window?.(i) ?? length);
    return sum / layers;
  };
  class Target extends ToyTarget {
    override readonly layers = of.layers as 2;
    readonly layerTokenBytes = of.layerTokenBytes ?? 100;
    readonly attended = attended;
    override async createSequence(options: { capacity: number }): Promise<TargetSequence> {
      const text = await super.createSequence(options);
      let length = 0;
      seen.open++;
      const pass = (rows: number, layers: number) => {
        const ms = of.ms(rows) + attended(length, layers) * of.perToken(rows);
        now += (ms * noise() * layers) / of.layers;
      };
      return Object.assign(text, {
        forward: async (...[tree, want]: Parameters<TargetSequence["forward"]>) => {
          seen.rows.add(tree.size);
          pass(tree.size, of.layers);
          return ToyTarget.prototype.createSequence
            .call(this, { capacity: 99 })
            .then((it) => it.forward(tree, want));
        },
        forwardFirst: async (...[tree, layers]: Parameters<TargetSequence["forwardFirst"]>) => {
          seen.layers.add(layers);
          pass(tree.size, layers);
          return new Float32Array(0);
        },
        ...(of.fills !== false && {
          fill: (_layers: number, tokens: number) => {
            if (tokens > options.capacity) throw new Error("too long");
            seen.lengths.add(tokens);
            length = tokens;
            now += 20;
          },
        }),
        [Symbol.asyncDispose]: async () => {
          seen.open--;
        },
      });
    }
  }
  return { target: new Target({ contextLength, maxNodes }), seen, attended };
}

const small: Machine = {
  ms: (rows) => 2.4 + 0.2 * Math.max(0, rows - 4),
  perToken: (rows) => 0.0007 * Math.max(1, rows / 3),
  layers: 30,
  layerTokenBytes: 768,
};

test("finds what passes cost by rows and tokens, in bounded time", async () => {
  const { target, seen } = machine(small);
  const times = await quickPassTimes(target);
  expect(times.map(({ rows }) => rows)).toEqual([1, 2, 4, 8, 16, 32]);
  for (const { rows, ms, perToken } of times) {
    expect(ms).toBeCloseTo(small.ms(rows));
    expect(perToken).toBeCloseTo(small.perToken(rows), 6);
  }
  expect(now).toBeLessThan(250);
  expect(seen.open).toBe(0);
  // A plain pass of 1.5 ms goes through 19 of 30 layers.
  expect([...seen.layers]).toEqual([19]);
  expect([...seen.lengths][0]! * 19 * 768).toBeLessThanOrEqual(16 << 20);
});

test("busy moments in between do no harm", async () => {
  let i = 0;
  const { target } = machine({ ...small, noise: () => (i++ % 7 === 3 ? 3 : 1) });
  for (const { rows, ms, perToken } of await quickPassTimes(target)) {
    if (rows > 8) continue;
    expect(ms).toBeCloseTo(small.ms(rows));
    expect(perToken).toBeCloseTo(small.perToken(rows), 6);
  }
});

test("counts the tokens that the timed layers see", async () => {
  const window = (layer: number) => (layer % 3 === 2 ? 1e9 : 256);
  const { target, attended } = machine({ ...small, window });
  const curve = new CostCurve(await quickPassTimes(target), attended);
  for (const length of [100, 1000, 4000])
    expect(curve.ms(4, length)).toBeCloseTo(small.ms(4) + small.perToken(4) * attended(length));
});

test("a slow model's large passes are not waited for, and one layer tells what tokens cost", async () => {
  const { target, seen } = machine({
    ...small,
    ms: (rows) => 129 + rows,
    perToken: () => 0.01,
    maxNodes: 20,
  });
  const times = await quickPassTimes(target);
  expect([...seen.rows]).toEqual([1, 2]);
  expect([...seen.layers]).toEqual([1]);
  expect(times.map(({ rows }) => rows)).toEqual([1, 2, 4, 8, 16]);
  const short = new CostCurve(times.slice(0, 2));
  for (const { rows, ms, perToken } of times) {
    expect(ms).toBeCloseTo(short.ms(rows), 6);
    expect(perToken).toBeCloseTo(0.01);
  }
});

test("asks no target for a longer text than it has room for, nor for one that it cannot make", async () => {
  const { target, seen } = machine({ ...small, contextLength: 40 });
  await quickPassTimes(target);
  expect([...seen.lengths]).toEqual([32]);
  for (const cannot of [{ fills: false }, { layers: 1 }, { contextLength: 8, maxNodes: 8 }])
    for (const { perToken } of await quickPassTimes(machine({ ...small, ...cannot }).target))
      expect(perToken).toBe(0);
});
