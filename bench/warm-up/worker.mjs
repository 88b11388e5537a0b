/** @file A process of bench:warm-up: a model that warms up, or waits as long. */

import { setTimeout } from "node:timers/promises";
import { loadModel } from "../../dist/index.js";
import { serve } from "../processes.mjs";

serve(async ({ model: name, ms, warm }) => {
  const model = await loadModel(name);
  const until = performance.now() + ms;
  if (warm) await model.warmUp({ ms });
  await setTimeout(Math.max(0, until - performance.now()));
  return {
    settings: {},
    async write(request) {
      for await (const event of model.generate(request)) {
        if (event.type === "end") return { tokens: event.tokens, speed: event.stats.tokensPerSecond };
      }
    },
  };
});
