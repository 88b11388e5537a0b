/** @file Reads texts as a model does, in the process that leads a benchmark: a contender that did it would be awake when others sleep. */

import { openGguf } from "../../dist/checkpoint/gguf.js";
import { readChatTemplate, readTokenizerSpec } from "../../dist/checkpoint/tokenizer-spec.js";
import { ChatTemplate } from "../../dist/text/chat-template.js";
import { Tokenizer } from "../../dist/text/tokenizer.js";

/** `path`: the model's file. */
export async function openReader(path) {
  const gguf = await openGguf(path);
  try {
    const spec = readTokenizerSpec(gguf);
    const template = readChatTemplate(gguf);
    const name = (token) => (token === undefined ? "" : spec.tokens[token]);
    const names = { bosToken: name(spec.bosToken), eosToken: name(spec.eosToken) };
    return new Reader(new Tokenizer(spec), template && new ChatTemplate(template, names));
  } finally {
    await gguf[Symbol.asyncDispose]();
  }
}

class Reader {
  #tokenizer;
  #chat;

  constructor(tokenizer, chat) {
    this.#tokenizer = tokenizer;
    this.#chat = chat;
  }

  tokens(text) {
    return this.#tokenizer.encode(text, { special: false });
  }

  /** The tokens of one turn of a conversation, or of raw text. */
  prompt({ kind, system, text }) {
    const { promptStart, promptEnd } = this.#tokenizer;
    if (kind === "completion" || this.#chat === undefined)
      return [...promptStart, ...this.tokens(text), ...promptEnd];
    const quoted = (role, content) => ({ role, content: this.#tokenizer.quote(content) });
    const messages = [...(system ? [quoted("system", system)] : []), quoted("user", text)];
    return this.#tokenizer.encode(this.#chat.render(messages, { addGenerationPrompt: true }), {
      special: true,
    });
  }

  /** Tokens that stand for text: what a prompt of random tokens may hold. */
  textTokens() {
    const { vocabSize, endTokens } = this.#tokenizer;
    const ends = new Set(endTokens);
    return Array.from({ length: vocabSize }, (_, token) => token).filter(
      (token) => !ends.has(token) && this.#tokenizer.tokenBytes(token).length > 0,
    );
  }
}
