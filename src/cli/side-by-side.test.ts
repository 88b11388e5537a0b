/** @file Tests of columns: that nothing of the texts is lost or out of line, however wide and high the screen is. */

import { Writable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import type { Output } from "./io.ts";
import { fitsSideBySide, SideBySide } from "./side-by-side.ts";

function screen(columns: number, rows: number, isTTY = true) {
  const written: string[] = [];
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      written.push(chunk);
      done();
    },
  });
  return { output: Object.assign(stream, { isTTY, columns, rows }) as Output, written };
}

const column = (title: string, text: string) => ({ title, text });
const words = (count: number) => Array.from({ length: count }, (_, i) => `word${i}`).join(" ");

test("is for terminals that are wide enough", () => {
  expect(fitsSideBySide(screen(80, 24).output, 2)).toBe(true);
  expect(fitsSideBySide(screen(60, 24).output, 2)).toBe(false);
  expect(fitsSideBySide(screen(200, 24, false).output, 2)).toBe(false);
});

test("while it runs the ends are shown, and each drawing replaces the one before", () => {
  const { output, written } = screen(80, 10);
  const view = new SideBySide(output);
  view.update([column("a", words(100)), column("b", "short")]);
  view.update([column("a", words(101)), column("b", "short")]);
  const lines = written[0]!.trimEnd().split("\n");
  expect(lines.length).toBeLessThan(10);
  expect(lines[0]).toMatch(/^a +│ {2}b$/);
  expect(lines.at(-1)).toContain("word99");
  expect(written[1]!.startsWith(`\x1b[${lines.length}A\x1b[J`)).toBe(true);
});

test("at the end all of it stands there, and what comes next does not replace it", () => {
  const { output, written } = screen(80, 10);
  const view = new SideBySide(output);
  view.finish([column("a", words(100)), column("b", `\x1b[32m${words(100)}\x1b[39m 漢字`)]);
  view.update([column("c", ""), column("d", "")]);
  const lines = stripVTControlCharacters(written[0]!).trimEnd().split("\n").slice(1);
  const [left, right] = [0, 1].map((at) =>
    lines
      .map((line) => line.split("│")[at]!.trim())
      .join(" ")
      .trim(),
  );
  expect(left).toBe(words(100));
  expect(right).toBe(`${words(100)} 漢字`);
  expect(written[1]).not.toContain("\x1b");
});
