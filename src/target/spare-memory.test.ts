import { describe, expect, it } from "vitest";
import { SpareFloats, SpareMemory } from "./spare-memory.ts";

describe("SpareMemory", () => {
  it("lends to one at a time, and again what came back", () => {
    const memory = new SpareMemory();
    const first = memory.take(5000);
    expect(first.byteLength).toBe(8192);
    expect(memory.take(8192)).not.toBe(first);
    memory.give(first);
    expect(memory.take(9000)).not.toBe(first);
    expect(memory.take(4097)).toBe(first);
    expect(memory.take(4097)).not.toBe(first);
    expect(memory.take(0).byteLength).toBeGreaterThan(0);
  });

  it("keeps no more than 16 MB, the latest", () => {
    const memory = new SpareMemory();
    const taken = Array.from({ length: 20 }, () => memory.take(2 ** 20));
    for (const buffer of taken) memory.give(buffer);
    const again = new Set(Array.from({ length: 20 }, () => memory.take(2 ** 20)));
    expect(taken.map((buffer) => again.has(buffer))).toEqual([
      ...Array(4).fill(false),
      ...Array(16).fill(true),
    ]);
    const huge = memory.take(2 ** 25);
    memory.give(huge);
    expect(memory.take(2 ** 25)).not.toBe(huge);
  });
});

describe("SpareFloats", () => {
  it("grow, and leave their memory to others", () => {
    const memory = new SpareMemory();
    const [a, b] = [new SpareFloats(memory), new SpareFloats(memory)];
    a.reserve(1000);
    a.values.fill(1, 0, 1000);
    const { buffer } = a.values;
    a.reserve(2000);
    expect([...a.values.subarray(0, 1000)]).toEqual(Array(1000).fill(1));
    b.reserve(900);
    expect(b.values.buffer).toBe(buffer);
    a.free();
    b.reserve(2000);
    expect([...b.values.subarray(0, 1000)]).toEqual(Array(1000).fill(1));
    a.reserve(10);
    expect(a.values.buffer).not.toBe(b.values.buffer);
  });
});
