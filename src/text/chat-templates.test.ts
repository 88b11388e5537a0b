/** @file Chat templates of the shapes that the families publish, against transformers (test/reference/chat_templates.py). */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type ChatMessage, ChatTemplate } from "./chat-template.ts";

interface Entry {
  readonly template: string;
  readonly cases: readonly {
    readonly messages: readonly ChatMessage[];
    readonly addGenerationPrompt: boolean;
    readonly text?: string;
    readonly refused?: string;
  }[];
}

const file = new URL("../../test/fixtures/chat-templates.json", import.meta.url);
const entries: Record<string, Entry> = JSON.parse(readFileSync(file, "utf8"));

describe.each(Object.entries(entries))("%s", (_, { template, cases }) => {
  test.each(cases)("$messages.length messages, $addGenerationPrompt", (each) => {
    const { messages, addGenerationPrompt, text, refused } = each;
    const chat = new ChatTemplate(template, { bosToken: "<s>", eosToken: "</s>" });
    const render = () => chat.render(messages, { addGenerationPrompt });
    if (refused === undefined) expect(render()).toBe(text);
    else
      expect(render).toThrow(
        expect.objectContaining({ code: "bad-chat-template", message: expect.stringContaining(refused) }),
      );
  });
});
