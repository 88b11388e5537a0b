/**
 * @file node-llama-cpp through its public API. Settings: what was fastest out of what it offers for one text on a CPU.
 *
 * - `gpu: false, build: "never"`: the prebuilt binary of its npm package, which chooses among CPU libraries by itself.
 * - `flashAttention: true`: without it a token takes a tenth longer, and prefill half as long again.
 * - `batchSize: 512`: 256 and 1,024 are no faster, and 128 is slower at prefill.
 * - `threads: { min }`: otherwise the number is only a hint.
 * - Keys and values in 16 bit, the default: 8 bit takes 3 % off a token and doubles prefill; 32 bit is slower at both.
 * - `contextSize`, memory mapping, dispatching at once (`dispatchSchedule`) and `topK: 1` make no difference.
 * - `sequence.evaluate()`: LlamaCompletion and LlamaChatSession are built on it, and `controlledEvaluate()` is slower.
 */

import { readFileSync } from "node:fs";
import { getLlama } from "node-llama-cpp";
import { serve } from "./worker.mjs";

serve(async ({ model: modelPath, threads }) => {
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    logLevel: "error",
    maxThreads: threads,
  });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({
    contextSize: 1024,
    batchSize: 512,
    flashAttention: true,
    threads: { ideal: threads, min: threads },
  });
  const sequence = context.getSequence();

  return {
    settings: {
      version: readVersion(),
      llamaCpp: llama.llamaCppRelease.release,
      library: cpuLibrary(),
      threads: context.currentThreads,
      contextSize: context.contextSize,
      batchSize: context.batchSize,
      flashAttention: context.flashAttention,
    },

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

function readVersion() {
  const manifest = new URL("../package.json", import.meta.resolve("node-llama-cpp"));
  return JSON.parse(readFileSync(manifest, "utf8")).version;
}

/** The library it chose for this CPU: what is mapped into this process. */
function cpuLibrary() {
  if (process.platform !== "linux") return "unknown";
  return /libggml-cpu-[^/\s]*/.exec(readFileSync("/proc/self/maps", "utf8"))?.[0] ?? "unknown";
}
