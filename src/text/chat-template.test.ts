import { expect, test } from "vitest";
import { type ChatMessage, ChatTemplate } from "./chat-template.ts";

const tokens = { bosToken: "<s>", eosToken: "</s>" };
const chatml =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const messages: ChatMessage[] = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Hello {{ not a template }} 木" },
];

test("renders messages, with and without the beginning of an answer", () => {
  const template = new ChatTemplate(chatml, tokens);
  const text =
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello {{ not a template }} 木<|im_end|>\n";
  expect(template.render(messages, { addGenerationPrompt: false })).toBe(text);
  expect(template.render(messages, { addGenerationPrompt: true })).toBe(`${text}<|im_start|>assistant\n`);
});

test("knows the tokens around a text, and today's date", () => {
  const template = new ChatTemplate("{{ bos_token }}{{ strftime_now('%Y') }}{{ eos_token }}", tokens);
  expect(template.render([], { addGenerationPrompt: true })).toMatch(/^<s>20\d\d<\/s>$/);
});

test("a template may refuse a conversation", () => {
  const strict = new ChatTemplate(
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system messages here') }}{% endif %}ok",
    tokens,
  );
  expect(strict.render(messages.slice(1), { addGenerationPrompt: true })).toBe("ok");
  expect(() => strict.render(messages, { addGenerationPrompt: true })).toThrow(
    expect.objectContaining({
      code: "bad-chat-template",
      message: expect.stringContaining("no system messages here"),
    }),
  );
});

test("a broken template and a missing one are named", () => {
  expect(() => new ChatTemplate("{% for x in %}", tokens)).toThrow(
    expect.objectContaining({ code: "bad-chat-template" }),
  );
  expect(() => new ChatTemplate(undefined, tokens)).toThrow(
    expect.objectContaining({ code: "missing-chat-template" }),
  );
});
