/** @file Tests of `espalier demo`: that it shows both texts, compares them, and counts what was really done. */

import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { LossyTarget } from "../../test/lossy-target.ts";
import { type CliOptions, runCli } from "../../test/run-cli.ts";
import { collect, toyModel } from "../../test/toy-model.ts";
import { ToyTarget } from "../target/toy.ts";

const toy = { order: 1, longRange: 0 };
/** Its vocabulary has no small letters, so a request becomes digits. */
const model = (target = new ToyTarget(toy)) =>
  toyModel(toy, {
    target,
    endTokens: [],
    chatTemplate: { render: (messages) => `${messages[0]!.content.length}?` },
  });
const LINE = "demo --model toy --max-tokens 40";
const demo = (options: CliOptions = {}, line = LINE) => runCli(line, { model: () => model(), ...options });

test("elsewhere than on a terminal: texts, their figures, and one table", async () => {
  const { code, stdout, alive } = await demo();
  expect(code).toBe(0);
  expect(alive).toBe(0);
  expect(stdout).not.toContain("\x1b");
  const requests = [...stdout.matchAll(/^> (.*)$/gm)].map(([, request]) => request!);
  expect(requests.length).toBeGreaterThanOrEqual(3);
  let passes = 0;
  for (const content of requests) {
    const request = { messages: [{ role: "user" as const, content }], maxTokens: 40, method: "plain" };
    const { text, end } = await collect(model().generate(request));
    expect(stdout).toContain(`> ${content}\n\n${text}\n\nplain: ${end.tokens.length} tokens, `);
    passes += end.stats.passes;
  }
  expect(stdout).toMatch(new RegExp(`\\nplain +\\d+ +${passes} +1\\.00\\n`));
  const drafted = /\ndrafted +\d+ +(\d+) +(\d+\.\d+)\n\nsame text: yes\n/.exec(stdout)!;
  expect(Number(drafted[1])).toBeLessThan(passes);
  expect(Number(drafted[2])).toBeCloseTo(passes / Number(drafted[1]), 1);
  expect(stdout).toMatch(/\ntoy, auto, .*, 1 threads, none\n$/);
});

test("on a terminal: both texts grow side by side", async () => {
  const { stdout } = await demo({ terminal: true });
  const drawn = stdout.split("\x1b[J");
  expect(drawn.length).toBeGreaterThan(3);
  const end = stripVTControlCharacters(drawn.at(-1)!);
  const [title, ...lines] = end.split("\n");
  expect(title).toMatch(/^plain: 40 tokens, \d+ a second +│ {2}drafted: 40 tokens, \d+ a second$/);
  const [left, right] = lines[0]!.split("│").map((column) => column.trim());
  expect(left).toBe(right);
  expect(drawn.at(-1)).toContain("\x1b[32m");
  for (const line of stripVTControlCharacters(stdout).split("\n")) expect(line.length).toBeLessThan(100);
});

test("a text that is not the same ends in exit code 1", async () => {
  const { code, stdout } = await demo({ model: () => model(new LossyTarget(toy, 12)) });
  expect(code).toBe(1);
  expect(stdout).toContain("same text: NO");
});

test("ctrl-C ends it without a table", async () => {
  const { code, stdout, alive } = await demo({
    watch: (text, press) => {
      if (text.startsWith("> ")) press();
    },
  });
  expect(code).toBe(130);
  expect(stdout).not.toContain("same text");
  expect(alive).toBe(0);
});
