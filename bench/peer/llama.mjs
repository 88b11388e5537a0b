/**
 * @file node-llama-cpp through its public API. Settings: what was fastest out of what it offers for one text on a CPU.
 *
 * - `gpu: false, build: "never"`: the prebuilt binary of its npm package, which chooses among CPU libraries by itself.
 * - `flashAttention: true`: without it a token takes a tenth longer, and prefill half as long again.
 * - `batchSize: 512`: 256 and 1,024 are no faster, and 128 is slower at prefill.
 * - `threads: { min }`: otherwise the number is only a hint.
 * - Keys and values in 16 bit, the default: 8 bit takes 3 % off a token and doubles prefill; 32 bit is slower at both.
 * - `contextSize`, memory mapping, dispatching at once (`dispatchSchedule`) and `topK: 1` make no difference.
 * - Token predictors: 3.22.1 takes at most one predicted token a pass, however many are right (the list in `_speculativeEvaluate` that it
 *   compares the second one with stays empty), so more than one only makes passes dearer.
 * - `sequence.evaluate()`: LlamaCompletion and LlamaChatSession are built on it, and `controlledEvaluate()` is slower.
 */

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const bench = fileURLToPath(new URL("..", import.meta.url));

/** node-llama-cpp is no dependency of Espalier: it is installed in bench/ when it is first needed. */
export function installLlama() {
  if (existsSync(`${bench}/node_modules/node-llama-cpp`)) return;
  process.stderr.write("installing node-llama-cpp in bench/ (once)\n");
  execFileSync("npm", ["install", "--no-save", "--ignore-scripts"], { cwd: bench, stdio: ["ignore", 2, 2] });
}

/** Loads models with one number of threads: `open(path)` gives a model and a context for it, of several sequences if asked. `module`: the package itself. */
export async function openLlama({ threads, contextSize }) {
  const module = await import("node-llama-cpp");
  const llama = await module.getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    logLevel: "error",
    maxThreads: threads,
  });
  async function open(modelPath, sequences = 1) {
    const model = await llama.loadModel({ modelPath });
    const context = await model.createContext({
      contextSize,
      sequences,
      batchSize: 512,
      flashAttention: true,
      threads: { ideal: threads, min: threads },
    });
    return { model, context };
  }
  const settingsOf = (context) => ({
    version: readVersion(),
    llamaCpp: llama.llamaCppRelease.release,
    library: cpuLibrary(),
    threads: context.currentThreads,
    contextSize: context.contextSize,
    batchSize: context.batchSize,
    flashAttention: context.flashAttention,
  });
  return { module, open, settingsOf };
}

function readVersion() {
  const manifest = new URL("../package.json", import.meta.resolve("node-llama-cpp"));
  return JSON.parse(readFileSync(manifest, "utf8")).version;
}

/** The library it chose for this CPU: what is mapped into this process. */
function cpuLibrary() {
  if (process.platform !== "linux") return "unknown";
  return /libggml-cpu-[^/\s]*/.exec(readFileSync("/proc/self/maps", "utf8"))?.[0] ?? "unknown";
}
