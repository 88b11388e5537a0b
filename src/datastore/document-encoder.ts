/** @file From parts of documents to tokens, with a border after each document. Chats get the form in which the model reads them. */

import { EspalierError } from "../errors.ts";
import { type ChatMessage, ChatTemplate } from "../text/chat-template.ts";
import { Tokenizer } from "../text/tokenizer.ts";
import type { TokenizerSpec } from "../text/vocabulary.ts";
import type { TokenId } from "../types.ts";
import type { Part } from "./documents.ts";
import { parseRecord } from "./records.ts";

/** What a model's file says; it can be sent to another thread. */
export interface EncoderParts {
  readonly spec: TokenizerSpec;
  /** The source of the chat template, if there is one. */
  readonly template: string | undefined;
}

export interface Encoded {
  /** The border is the token `vocabSize`. */
  readonly tokens: Int32Array<ArrayBuffer>;
  /** Documents that end in it. */
  readonly documents: number;
}

export class DocumentEncoder {
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate | undefined;

  constructor({ spec, template }: EncoderParts) {
    this.#tokenizer = new Tokenizer(spec);
    const name = (token: TokenId | undefined) => (token === undefined ? "" : spec.tokens[token]!);
    if (template !== undefined) {
      const names = { bosToken: name(spec.bosToken), eosToken: name(spec.eosToken) };
      this.#template = new ChatTemplate(template, names);
    }
  }

  /** Throws EspalierError "bad-documents" for a record without a text. */
  encode(part: Part): Encoded {
    const tokens: TokenId[] = [];
    let documents = 0;
    const end = () => {
      tokens.push(this.#tokenizer.vocabSize);
      documents++;
    };
    if (part.kind === "text") {
      for (const token of this.#tokenizer.encode(part.text, { special: false })) tokens.push(token);
      if (part.ends) end();
    } else {
      for (const [index, line] of part.text.split("\n").entries()) {
        if (line.trim() === "") continue;
        for (const token of this.#encodeRecord(line, `${part.path}:${part.line + index}`)) tokens.push(token);
        end();
      }
    }
    return { tokens: Int32Array.from(tokens), documents };
  }

  #encodeRecord(line: string, where: string): TokenId[] {
    const record = parseRecord(line, where);
    if (record.kind === "text") return this.#tokenizer.encode(record.text, { special: false });
    const text = this.#render(record.messages);
    if (text !== undefined) return this.#tokenizer.encode(text, { special: true });
    return this.#tokenizer.encode(record.messages.map(({ content }) => content).join("\n"), {
      special: false,
    });
  }

  /** Undefined when the model has no template, or one that refuses these messages: then their texts count alone. */
  #render(messages: readonly ChatMessage[]): string | undefined {
    const quoted = messages.map(({ role, content }) => ({ role, content: this.#tokenizer.quote(content) }));
    try {
      return this.#template?.render(quoted, { addGenerationPrompt: false });
    } catch (error) {
      if (error instanceof EspalierError && error.code === "bad-chat-template") return undefined;
      throw error;
    }
  }
}
