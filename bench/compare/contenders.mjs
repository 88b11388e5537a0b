/** @file Who takes part: Espalier's methods by name, and other programs. Each gets a process of its own. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installLlama } from "../peer/llama.mjs";
import { startWorker } from "../processes.mjs";

/** The methods that are compared unless others are named, as far as a model can use them; the rest are there to be compared with these. */
const METHODS = [
  ...["plain", "token-recycling", "prompt-lookup", "recycle-lookup", "retrieval"],
  ...["draft-model", "eagle", "opt-tree", "rasd", "adaeagle", "eesd", "auto"],
];
const WORKERS = new URL("./workers/", import.meta.url);

/** A process for each; `close` ends them all. */
export class Contenders {
  workers = [];
  /** What methods learn from one run shall not help the next, nor the user's own be changed. */
  #cache = mkdtempSync(join(tmpdir(), "espalier-compare-"));

  /** One after the other, because some measure the machine when they load. `name` is not always the method's. */
  async #start(name, engine, file, options) {
    process.stderr.write(`loading ${name}\n`);
    const env = { ...process.env, ESPALIER_CACHE: this.#cache };
    const worker = await startWorker(name, new URL(file, WORKERS), options, { env });
    this.workers.push({ ...worker, engine });
    return worker;
  }

  /**
   * Espalier with each of the methods; `methods`: names, "all", or undefined for those that one would choose from. Plain is always there, and
   * once more as `control`, if that is a name.
   */
  async startOwn(methods, { model, threads, weights, draftModel, head, exit }, control) {
    const options = { model, threads, weights, draftModel, head, exit };
    const start = (method, name = method) =>
      this.#start(name, "espalier", "espalier.mjs", { ...options, method });
    const { settings } = await start("plain");
    const usable =
      methods === "all" ? settings.methods : METHODS.filter((name) => settings.methods.includes(name));
    const wanted = Array.isArray(methods) ? methods : usable;
    for (const method of wanted.filter((name) => name !== "plain")) await start(method);
    if (control !== undefined) await start("plain", control);
    return settings;
  }

  /** Other programs; `longest`: most tokens of prompt and answer together. */
  async startPeers(reader, { model, threads, draftModel, llama, lookup, draft, transformers, ik }, longest) {
    const contextSize = 256 * Math.ceil((longest + 32) / 256);
    for (const mode of llama) {
      installLlama();
      const options = { model, threads, contextSize, mode, draftModel, lookup, draft };
      await this.#start(`node-llama-cpp, ${mode}`, "node-llama-cpp", "llama.mjs", options);
    }
    if (transformers) {
      await this.#start("transformers.js", "transformers.js", "transformers.mjs", {
        ...transformers,
        threads,
      });
    }
    if (ik)
      await this.#start("ik_llama.cpp", "ik_llama.cpp", "ik.mjs", { ...ik, model, threads, contextSize });
    await this.#checkTokenizers(reader);
  }

  /** Token ids mean the same to all, or they would not run the same prompt. */
  async #checkTokenizers(reader) {
    const text = "The 17 quick brown foxes don't jump:\n\tconst naïve = [1, 2.5];\n";
    const expected = reader.tokens(text);
    for (const { name, engine, ask } of this.workers) {
      if (engine === "espalier") continue;
      const tokens = await ask("tokenize", { text });
      if (tokens.join() !== expected.join()) {
        throw new Error(
          `${name} reads a text as other tokens (${tokens.join()}; Espalier ${expected.join()}): is it the same model?`,
        );
      }
    }
  }

  /** For the record of a run. */
  describe() {
    return this.workers.map(({ name, engine, settings: { methods: _, commit: __, ...settings } }) => ({
      name,
      engine,
      settings,
    }));
  }

  close() {
    for (const { child } of this.workers) if (child.connected) child.disconnect();
    rmSync(this.#cache, { recursive: true, force: true });
  }
}
