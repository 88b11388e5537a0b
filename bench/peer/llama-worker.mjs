/** @file node-llama-cpp in `bench:peer`. */

import { serve } from "../processes.mjs";
import { openLlama } from "./llama.mjs";

serve(async ({ model: path, threads }) => {
  const { open, settingsOf } = await openLlama({ threads, contextSize: 1024 });
  const { model, context } = await open(path);
  const sequence = context.getSequence();

  return {
    settings: settingsOf(context),

    async plain({ tokens: prompt, maxTokens }) {
      await sequence.clearHistory();
      const tokens = [];
      const times = [];
      for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
        times.push(performance.now());
        tokens.push(token);
        if (tokens.length === maxTokens || model.isEogToken(token)) break;
      }
      return { tokens, times };
    },

    async prefill({ tokens }) {
      await sequence.clearHistory();
      const start = performance.now();
      await sequence.evaluateWithoutGeneratingNewTokens(tokens);
      return { ms: performance.now() - start };
    },

    async tokenize({ text }) {
      return model.tokenize(text);
    },
  };
});
