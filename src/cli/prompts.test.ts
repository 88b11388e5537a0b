/** @file Tests of the prompt files: every wrong line is named, and a limit is spread evenly. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Prompt, parsePrompts, readPrompts, spread } from "./prompts.ts";

const line = (change: object = {}) =>
  JSON.stringify({ id: "a", category: "x", kind: "chat", turns: ["Hello"], ...change });

describe("parsePrompts", () => {
  test("reads what is needed and leaves other fields alone", () => {
    const text = `${line({ reference: ["?"], test: 1 })}\n\n${line({ id: "b", system: "Be brief", turns: ["1", "2"] })}\r\n`;
    expect(parsePrompts(text, "f")).toEqual([
      { id: "a", category: "x", kind: "chat", turns: ["Hello"] },
      { id: "b", category: "x", kind: "chat", turns: ["1", "2"], system: "Be brief" },
    ]);
  });

  test("puts functions behind the system message", () => {
    const functions = [{ name: "add" }, { name: "sub" }];
    const [bare] = parsePrompts(line({ kind: "tools", functions }), "f");
    expect(bare!.system).toBe('Functions you can call:\n{"name":"add"}\n{"name":"sub"}');
    const [told] = parsePrompts(line({ kind: "tools", functions, system: "Be brief" }), "f");
    expect(told!.system).toMatch(/^Be brief\n\nFunctions you can call:\n/);
  });

  test.each([
    ["{", "not JSON"],
    ["[1]", "not a JSON object"],
    ["null", "not a JSON object"],
    [line({ id: 7 }), '"id" is 7'],
    [line({ id: undefined }), '"id" is missing'],
    [line({ category: "" }), '"category" is ""'],
    [line({ kind: "riddle" }), '"kind" is "riddle"; give one of chat, completion, tools'],
    [line({ turns: [] }), '"turns" is []'],
    [line({ turns: "Hello" }), '"turns" is "Hello"'],
    [line({ turns: ["a", ""] }), '"turns" is ["a",""]'],
    [line({ system: 1 }), '"system" is 1'],
    [line({ kind: "completion", turns: ["a", "b"] }), "a completion has one turn"],
    [line({ kind: "tools" }), '"functions" is missing'],
  ])("%s", (wrong, message) => {
    const text = `${line({ id: "first" })}\n${wrong}\n`;
    expect(() => parsePrompts(text, "file.jsonl")).toThrow(`file.jsonl:2: ${message}`);
    expect(() => parsePrompts(text, "file.jsonl")).toThrow(expect.objectContaining({ code: "bad-prompts" }));
  });

  test("refuses an id that is there twice, and a file without prompts", () => {
    expect(() => parsePrompts(`${line()}\n${line()}`, "f")).toThrow('f:2: id "a" was on line 1 already');
    expect(() => parsePrompts("\n \n", "f")).toThrow("f holds no prompts");
  });

  test("names a file that is not there", async () => {
    await expect(readPrompts("nowhere.jsonl")).rejects.toMatchObject({ code: "file-not-found" });
    await expect(readPrompts(".")).rejects.toMatchObject({ code: "file-unreadable" });
  });
});

describe("spread", () => {
  const rows = fc
    .array(fc.constantFrom("a", "b", "c", "d", "e"), { minLength: 1, maxLength: 60 })
    .map((categories) =>
      categories.map((category, i): Prompt => ({ id: `${i}`, category, kind: "chat", turns: ["x"] })),
    );
  const count = (prompts: readonly Prompt[], category: string) =>
    prompts.filter((prompt) => prompt.category === category).length;

  test("takes as many as it may, in the order of the file, no category short while another has two more", () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 70 }), (prompts, limit) => {
        const taken = spread(prompts, limit);
        expect(taken).toHaveLength(Math.min(limit, prompts.length));
        expect(taken).toEqual(prompts.filter((prompt) => taken.includes(prompt)));
        const categories = [...new Set(prompts.map(({ category }) => category))];
        const most = Math.max(...categories.map((category) => count(taken, category)));
        for (const category of categories) {
          if (count(taken, category) < count(prompts, category)) {
            expect(count(taken, category)).toBeGreaterThanOrEqual(most - 1);
          }
        }
      }),
    );
  });

  test("without a limit takes all; within a category takes rows at even distances", () => {
    const prompts = Array.from(
      { length: 9 },
      (_, i): Prompt => ({ id: `${i}`, category: "a", kind: "chat", turns: ["x"] }),
    );
    expect(spread(prompts, undefined)).toBe(prompts);
    expect(spread(prompts, 3).map(({ id }) => id)).toEqual(["0", "3", "6"]);
  });
});
