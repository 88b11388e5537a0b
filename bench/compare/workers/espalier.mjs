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
  const { target } = model.parts;

  return {
    settings: {
      commit: commit(),
      isa: target.isa,
      threads: target.threads,
      methods: model.methodNames,
      contextLength: model.contextLength,
    },

    async warmUp({ ms }) {
      await model.warmUp({ ms, method });
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
  };
});
