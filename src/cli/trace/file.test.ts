/** @file Tests of reading trace files, which anybody may have written. */

import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { someTrace, traceStep } from "../../../test/trace.ts";
import { EspalierError } from "../../errors.ts";
import { checkWritable, parseTrace, readTrace, writeTrace } from "./file.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-trace-"));
});
afterAll(() => rm(folder, { recursive: true }));

function refusal(text: string): string {
  try {
    parseTrace(text, "a.json");
  } catch (error) {
    expect(error).toBeInstanceOf(EspalierError);
    expect((error as EspalierError).code).toBe("bad-trace");
    expect((error as EspalierError).message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    return (error as EspalierError).message;
  }
  throw new Error("it was read");
}

const withStep = (more: object) => ({ ...someTrace(), steps: [{ ...traceStep([-1, 0, 0, 1]), ...more }] });

describe("what is refused names the field", () => {
  it.each<[string, unknown, string]>([
    ["another JSON", { hello: 1 }, "a.json is no trace to read: format: "],
    ["nothing", null, "the file: "],
    ["a list", [], "the file: "],
    ["a newer version", { ...someTrace(), version: 2 }, "it has version 2, this program reads 1"],
    ["no steps", { ...someTrace(), steps: undefined }, "steps: "],
    ["steps that are none", { ...someTrace(), steps: [5] }, "steps[0]: "],
    ["a model that is a number", { ...someTrace(), model: 5 }, "model: "],
    ["no prompt tokens", { ...someTrace(), prompt: { tokens: [], text: "" } }, "prompt.tokens: "],
    ["texts that are no pairs", { ...someTrace(), texts: [[1]] }, "texts[0]"],
    ["a token of half", withStep({ tokens: [1, 2.5, 3, 4] }), "steps[0].tokens[1]: "],
    ["a token below zero", withStep({ bonus: -1 }), "steps[0].bonus: "],
    ["a probability above 1", withStep({ probs: [1, 1.5, 0, 0] }), "steps[0].probs[1]: "],
    ["an endless time", withStep({ ms: 1e300 }), "steps[0].ms: "],
    ["a kind of step", withStep({ kind: "\x1b[2J" }), "steps[0].kind: "],
    [
      "no nodes",
      withStep({ tokens: [], parents: [], probs: [], sources: [], path: [] }),
      "steps[0].tokens: ",
    ],
    ["lists of two lengths", withStep({ probs: [1, 1] }), "steps[0].probs: has 2 entries and tokens has 4"],
    ["a root with a parent", withStep({ parents: [0, 0, 0, 1] }), "steps[0].parents[0]: is 0; give -1"],
    [
      "a second root",
      withStep({ parents: [-1, -1, 0, 1] }),
      "steps[0].parents[1]: is -1; give a node from 0 to 0",
    ],
    ["a circle", withStep({ parents: [-1, 2, 1, 1] }), "steps[0].parents[1]: is 2"],
    ["a path from nowhere", withStep({ path: [1] }), "steps[0].path[0]: is 1; give 0, the root"],
    ["a path that jumps", withStep({ path: [0, 3] }), "steps[0].path[1]: is 3; give a child of node 0"],
    ["a path outside", withStep({ path: [0, 99] }), "steps[0].path[1]: is 99"],
    [
      "unknown drafters",
      withStep({ sources: [0, 4, 0, 0] }),
      "steps[0].sources[1]: is 4; drafters has 2 names",
    ],
    ["too many drafters", { ...someTrace(), drafters: Array(32).fill("a") }, "drafters: "],
  ])("%s", (_, value, message) => {
    expect(refusal(JSON.stringify(value))).toContain(message);
  });

  test("a tree of more nodes than any has", () => {
    const parents = Array.from({ length: 4097 }, (_, node) => node - 1);
    expect(refusal(JSON.stringify({ ...someTrace(), steps: [traceStep(parents)] }))).toContain(
      "steps[0].tokens: ",
    );
  });

  test("a file that breaks off, wherever", () => {
    const text = JSON.stringify(someTrace());
    for (let length = 0; length < text.length; length += 7)
      expect(refusal(text.slice(0, length))).toContain("it is not JSON");
  });

  test("what is quoted of a file is text", () => {
    expect(refusal('\x1b[31m\x07{"a": 1}')).toContain("\\u{1b}");
    expect(refusal(`{"format": "${"x".repeat(9999)}"}`).length).toBeLessThan(300);
  });
});

test("property: a trace with anything in one place is read or refused, and never breaks", () => {
  const places: (readonly (string | number)[])[] = [];
  const walk = (value: unknown, path: readonly (string | number)[]) => {
    places.push(path);
    if (typeof value !== "object" || value === null) return;
    for (const [key, inner] of Object.entries(value))
      walk(inner, [...path, Array.isArray(value) ? Number(key) : key]);
  };
  walk(someTrace(), []);
  fc.assert(
    fc.property(fc.constantFrom(...places.slice(1)), fc.jsonValue({ maxDepth: 2 }), (path, value) => {
      const trace = JSON.parse(JSON.stringify(someTrace())) as Record<string | number, unknown>;
      const at = path.slice(0, -1).reduce((at, key) => at[key] as typeof trace, trace);
      at[path.at(-1)!] = value;
      try {
        parseTrace(JSON.stringify(trace), "a.json");
      } catch (error) {
        expect((error as EspalierError).code).toBe("bad-trace");
      }
    }),
  );
});

describe("files", () => {
  test("what was written is read; fields of other names are left alone", async () => {
    const file = join(folder, "a.json");
    await writeTrace(file, someTrace());
    expect(await readTrace(file)).toEqual(someTrace());
    expect(parseTrace(JSON.stringify({ ...someTrace(), later: 1 }), "a.json")).toEqual(someTrace());
  });

  test("what is missing, no file, or too large", async () => {
    await expect(readTrace(join(folder, "none"))).rejects.toMatchObject({ code: "file-not-found" });
    await expect(readTrace(folder)).rejects.toMatchObject({ code: "file-unreadable" });
    const large = join(folder, "large");
    await writeFile(large, "{");
    await truncate(large, 2 ** 31);
    await expect(readTrace(large)).rejects.toMatchObject({ code: "too-large" });
  });

  test("where none can be written is known before", async () => {
    await checkWritable(join(folder, "new.json"));
    const nowhere = join(folder, "none", "new.json");
    await expect(checkWritable(nowhere)).rejects.toThrow(`${nowhere} cannot be written: there is no folder`);
    await expect(checkWritable(folder)).rejects.toThrow("no regular file");
  });
});
