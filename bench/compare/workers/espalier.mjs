/** @file Espalier through its public API, with one method. */

import { commit } from "../../../dist/cli/version.js";
import { loadModel } from "../../../dist/index.js";
import { serve } from "../../processes.mjs";

serve(async ({ model: path, threads, weights, draftModel, head, exit, method }) => {
  const given = Object.fromEntries(
    Object.entries({ draftModel, head, exit }).filter(([, value]) => value !== undefined),
  );
  const model = await loadModel(path, { threads, weights, ...given });
  model.method(method);
  const { target, tokenizer, chatTemplate, endTokens } = model.parts;
  const ends = new Set(endTokens);

  return {
    settings: {
      commit: commit(),
      isa: target.isa,
      threads: target.threads,
      methods: model.methodNames,
      contextLength: model.contextLength,
      chat: chatTemplate !== undefined,
    },

    async generate({ tokens, maxTokens, temperature, seed }) {
      const start = performance.now();
      let firstMs;
      let first = 0;
      for await (const event of model.generate({ tokens, maxTokens, method, temperature, seed })) {
        if (event.type === "end") {
          const endMs = performance.now() - start;
          const { passes, off } = event.stats;
          return {
            text: event.text,
            ids: event.tokens,
            firstMs: firstMs ?? endMs,
            decodeMs: endMs - (firstMs ?? endMs),
            first: first || event.tokens.length,
            generated: event.tokens.length,
            ended: event.stopReason === "end-token",
            passes,
            ...(off !== null && { off }),
          };
        }
        firstMs ??= performance.now() - start;
        first ||= event.pieces.length;
      }
      throw new Error("the stream had no end");
    },

    /** The tokens of one turn of a conversation, or of raw text. */
    async prompt({ kind, system, text }) {
      if (kind === "completion" || chatTemplate === undefined) {
        return [
          ...tokenizer.promptStart,
          ...tokenizer.encode(text, { special: false }),
          ...tokenizer.promptEnd,
        ];
      }
      const quoted = (role, content) => ({ role, content: tokenizer.quote(content) });
      const messages = [...(system ? [quoted("system", system)] : []), quoted("user", text)];
      return tokenizer.encode(chatTemplate.render(messages, { addGenerationPrompt: true }), {
        special: true,
      });
    },

    async tokenize({ text }) {
      return tokenizer.encode(text, { special: false });
    },

    /** Tokens that stand for text: what a prompt of random tokens may hold. */
    async textTokens() {
      return Array.from({ length: target.vocabSize }, (_, token) => token).filter(
        (token) => !ends.has(token) && tokenizer.tokenBytes(token).length > 0,
      );
    },
  };
});
