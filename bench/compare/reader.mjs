/** @file Reads texts as a model does, in the process that leads a benchmark: a contender that did it would be awake when others sleep. */

import { openGguf } from "../../dist/checkpoint/gguf.js";
import { readChatTemplate, readTokenizerSpec } from "../../dist/checkpoint/tokenizer-spec.js";
import { promptTokens } from "../../dist/session/request.js";
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
    return new Reader(path, new Tokenizer(spec), template && new ChatTemplate(template, names));
  } finally {
    await gguf[Symbol.asyncDispose]();
  }
}

class Reader {
  #tokenizer;
  /** What reading a prompt asks of a model. */
  #model;

  constructor(name, tokenizer, chatTemplate) {
    this.#tokenizer = tokenizer;
    this.#model = { name, tokenizer, chatTemplate, target: tokenizer };
  }

  tokens(text) {
    return this.#tokenizer.encode(text, { special: false });
  }

  /** The tokens of one turn of a conversation, or of raw text. */
  prompt({ kind, system, text }) {
    if (kind === "completion" || this.#model.chatTemplate === undefined)
      return promptTokens({ prompt: text }, this.#model);
    const before = system ? [{ role: "system", content: system }] : [];
    return promptTokens({ messages: [...before, { role: "user", content: text }] }, this.#model);
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
