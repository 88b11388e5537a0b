/**
 * @file Espalier through its public API, with method "plain": what drafts add is no part of `bench:peer`. Both sides of it do the same tasks:
 * `plain`, a greedy text of tokens and when each reached the caller, in milliseconds; `prefill`, the time in which all tokens are read into an
 * empty cache; `tokenize`.
 */

import { commit } from "../../dist/cli/version.js";
import { loadModel } from "../../dist/index.js";
import { serve } from "../processes.mjs";

serve(async ({ model: path, threads, weights }) => {
  const model = await loadModel(path, { threads, weights, passTimes: false });

  /** A token's time is that of the event it came with: almost always one of its own, as nothing is drafted. */
  async function generate(prompt, maxTokens) {
    const times = [];
    for await (const event of model.generate({ tokens: prompt, maxTokens, method: "plain" })) {
      if (event.type === "end") return { tokens: event.tokens, times, stats: event.stats };
      const now = performance.now();
      times.push(...event.pieces.map(() => now));
    }
    throw new Error("the stream had no end");
  }

  return {
    settings: { commit: commit(), isa: model.parts.target.isa, threads: model.parts.target.threads, weights },

    async plain({ tokens: prompt, maxTokens }) {
      const { tokens, times } = await generate(prompt, maxTokens);
      return { tokens, times };
    },

    /** The last token of a prompt is read by the first pass, so one more is given than is to be timed. */
    async prefill({ tokens }) {
      const { stats } = await generate([...tokens, tokens[0]], 1);
      return { ms: stats.prefillMs };
    },

    async tokenize({ text }) {
      return model.parts.tokenizer.encode(text, { special: false });
    },
  };
});
