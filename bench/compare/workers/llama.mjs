/**
 * @file node-llama-cpp in one of its modes: plain, with its input lookup, or with a draft model. Its predictors are given every length, since it
 * clamps some without saying so, and what it then has is compared with what was asked.
 */

import { openLlama } from "../../peer/llama.mjs";
import { serve } from "../../processes.mjs";

serve(async ({ model: path, threads, contextSize, mode, draftModel, lookup, draft }) => {
  const { module, open, settingsOf } = await openLlama({ threads, contextSize });
  const { model, context } = await open(path);
  const tokenPredictor = await createPredictor();
  const sequence = context.getSequence(tokenPredictor && { tokenPredictor });

  async function createPredictor() {
    if (mode === "plain") return undefined;
    if (mode === "lookup") {
      const { pattern, prediction } = lookup;
      const predictor = new module.InputLookupTokenPredictor({
        patternLength: { min: pattern[0], max: pattern[1] },
        predictionLength: { min: prediction[0], max: prediction[1] },
      });
      const has = [
        ...[predictor.patternMinLength, predictor.patternMaxLength],
        ...[predictor.predictionMinLength, predictor.predictionMaxLength],
      ];
      return checked(predictor, has, [...pattern, ...prediction], "lookup lengths");
    }
    const { tokens, confidence } = draft;
    const predictor = new module.DraftSequenceTokenPredictor((await open(draftModel)).context.getSequence(), {
      minTokens: tokens[0],
      maxTokens: tokens[1],
      minConfidence: confidence,
    });
    const has = [predictor.minTokens, predictor.maxTokens, predictor.minConfidence];
    return checked(predictor, has, [...tokens, confidence], "draft lengths");
  }

  return {
    settings: {
      ...settingsOf(context),
      ...(mode === "lookup" && lookup),
      ...(mode === "draft" && draft),
    },

    async generate({ tokens: prompt, maxTokens }) {
      await sequence.clearHistory();
      tokenPredictor?.updateInputTokens(prompt);
      const usedBefore = sequence.tokenPredictions.used;
      const tokens = [];
      let firstMs;
      let ended = false;
      const start = performance.now();
      for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
        firstMs ??= performance.now() - start;
        tokens.push(token);
        ended = model.isEogToken(token);
        if (ended || tokens.length === maxTokens) break;
      }
      const decodeMs = performance.now() - start - firstMs;
      return {
        text: model.detokenize(ended ? tokens.slice(0, -1) : tokens),
        firstMs,
        decodeMs,
        first: 1,
        generated: tokens.length,
        ended,
        passes: tokens.length - (sequence.tokenPredictions.used - usedBefore),
      };
    },

    async tokenize({ text }) {
      return model.tokenize(text);
    },
  };
});

function checked(predictor, has, asked, what) {
  if (has.join() === asked.join()) return predictor;
  throw new Error(
    `node-llama-cpp took ${what} ${asked.join()} for ${has.join()}; give lengths that it takes as they are`,
  );
}
