/** @file Tests of `espalier chat`: turns build on each other, its commands, and ctrl-C at the prompt and in an answer. */

import { describe, expect, test } from "vitest";
import { runCli, talkingToy } from "../../test/run-cli.ts";
import { collect } from "../../test/toy-model.ts";
import type { ChatMessage } from "../text/chat-template.ts";

const LINE = "chat --model toy --max-tokens 12";

/** What the toy answers to each user message in turn. */
async function answers(turns: readonly string[], system?: string): Promise<string[]> {
  const messages: ChatMessage[] = system === undefined ? [] : [{ role: "system", content: system }];
  const texts: string[] = [];
  for (const content of turns) {
    messages.push({ role: "user", content });
    const { text } = await collect(talkingToy().generate({ messages, maxTokens: 12 }));
    messages.push({ role: "assistant", content: text });
    texts.push(text);
  }
  return texts;
}

describe("turns", () => {
  test("each answer builds on those before, and the cache is kept", async () => {
    const { code, stdout, stderr, alive } = await runCli(`${LINE} --stats`, { stdin: ["ABC", "DEF"] });
    expect(code).toBe(0);
    expect(stdout).toBe(`${(await answers(["ABC", "DEF"])).join("\n")}\n`);
    expect(stderr).toMatch(/prompt of 4 in .*\n.*prompt of \d+ \(\d+ cached\)/);
    expect(alive).toBe(0);
  });

  test("--system comes first, /reset forgets the rest", async () => {
    const { stdout } = await runCli(`${LINE} --system SYS`, {
      stdin: ["ABC", "/reset", "ABC", "/exit", "DEF"],
    });
    const [answer] = await answers(["ABC"], "SYS");
    expect(stdout).toBe(`${answer}\n${answer}\n`);
    expect(answer).not.toBe((await answers(["ABC"]))[0]);
  });

  test("/help lists the commands, an unknown one is named, empty lines are passed over", async () => {
    const { stdout, stderr } = await runCli(LINE, { stdin: ["/help", "", "  ", "/hlep"] });
    expect(stdout).toContain("/reset");
    expect(stderr).toContain("there is no command /hlep");
  });

  test("a conversation that became too long can be reset", async () => {
    const model = () => talkingToy({ contextLength: 20 });
    const { code, stderr } = await runCli("chat --model toy", {
      model,
      stdin: ["ABCABCABCABCABC", "DEF", "/reset", "ABC"],
    });
    expect(code).toBe(0);
    expect(stderr).toMatch(/context/);
    expect(stderr).toMatch(/\/reset starts anew/);
  });

  test("--color paints and ends each answer with a legend", async () => {
    const model = () => talkingToy({ order: 1, vocabSize: 16, longRange: 0, sharpness: 8 });
    const { stdout, stderr } = await runCli("chat --model toy --max-tokens 60 --color", {
      model,
      stdin: ["12341234"],
    });
    expect(stdout).toContain("\x1b[32m");
    expect(stderr).toMatch(/target \d+\n/);
  });
});

describe("ctrl-C", () => {
  test("in an answer ends the answer and not the conversation", async () => {
    let written = "";
    let pressed = false;
    const { code, stdout } = await runCli("chat --model toy --max-tokens 200 --method plain", {
      stdin: ["ABC", "/help"],
      watch: (text, press) => {
        written += text;
        // The first text after the greeting is the answer's.
        if (pressed || !written.includes("lists the commands\n") || text.includes("\n")) return;
        pressed = true;
        press();
      },
    });
    expect(pressed).toBe(true);
    expect(code).toBe(0);
    expect(stdout.indexOf("\n")).toBeLessThan(200);
    expect(stdout).toContain("/reset");
  });

  test("at the prompt of a program that is fed by a pipe ends it", async () => {
    const { code } = await runCli(LINE, {
      stdin: ["/help", "/help"],
      watch: (text, press) => text.includes("/reset") && press(),
    });
    expect(code).toBe(130);
  });

  test("on a terminal leaves at the second time only", async () => {
    const once = await runCli(LINE, { terminal: true, stdin: ["\x03ABC"] });
    expect(once.code).toBe(0);
    expect(once.stderr).toContain("ctrl-C again leaves");
    expect(once.stdout).toContain((await answers(["ABC"]))[0]!);
    const twice = await runCli(LINE, { terminal: true, stdin: ["\x03\x03ABC"] });
    expect(twice.code).toBe(130);
  });
});
