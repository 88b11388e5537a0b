/** @file From the name or path of a model to a {@link Model} that generates. */

import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { readConfig } from "../checkpoint/config.ts";
import { openGguf } from "../checkpoint/gguf.ts";
import { resolveModel } from "../checkpoint/model-cache.ts";
import { findTensors } from "../checkpoint/model-tensors.ts";
import { readChatTemplate, readTokenizerSpec } from "../checkpoint/tokenizer-spec.ts";
import type { PassCosts } from "../plan/cost.ts";
import { quickPassTimes } from "../plan/measure.ts";
import { Model } from "../session/model.ts";
import { ChatTemplate } from "../text/chat-template.ts";
import { Tokenizer } from "../text/tokenizer.ts";
import { engine } from "./binding.ts";
import { NativeTarget } from "./native-target.ts";
import { readWeights } from "./weights.ts";

export interface LoadOptions {
  /** Threads of a pass, 1 to 64; default: as many as this process may use. */
  readonly threads?: number;
  /** The longest text, prompt included, in tokens; default and most: what the model was trained for. */
  readonly contextLength?: number;
  /** How keys and values are kept; "f32" takes twice the memory of "f16", the default. */
  readonly cacheType?: "f16" | "f32";
  /**
   * Milliseconds of a pass by rows, which choose the default budget of drafts. Default: measured here, in a few passes;
   * `false`: not known, so that every tree has the same number of nodes.
   */
  readonly passTimes?: PassCosts | false;
  /** Called with the part of the weights that is read, from 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
}

/**
 * Loads a GGUF model, given its path or its name in the cache. Throws EspalierError: what is wrong with the file, or that
 * there is no memory or no engine. Dispose the model (`await using`) to free it.
 */
export async function loadModel(pathOrName: string, options: LoadOptions = {}): Promise<Model> {
  const { threads = defaultThreads(), contextLength, cacheType = "f16", passTimes, onProgress } = options;
  if (!Number.isInteger(threads) || threads < 1 || threads > 64) {
    throw new RangeError(`threads is ${threads}; give an integer from 1 to 64`);
  }
  if (cacheType !== "f16" && cacheType !== "f32") {
    throw new RangeError(`cacheType is ${String(cacheType)}; give "f16" or "f32"`);
  }
  const binding = engine();
  const path = await resolveModel(pathOrName);
  await using gguf = await openGguf(path);
  const trained = readConfig(gguf);
  if (
    contextLength !== undefined &&
    !(Number.isInteger(contextLength) && contextLength >= 2 && contextLength <= trained.contextLength)
  ) {
    throw new RangeError(
      `contextLength is ${contextLength}; give an integer from 2 to ${trained.contextLength}, what the model was trained for`,
    );
  }
  const config = contextLength === undefined ? trained : { ...trained, contextLength };
  const tensors = findTensors(gguf, config);
  const spec = readTokenizerSpec(gguf);
  const template = readChatTemplate(gguf);
  const reading = readWeights(binding, gguf, tensors, onProgress);
  // The weights are read by other threads meanwhile.
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer(spec);
    // The first text builds the vocabulary.
    tokenizer.encode("a", { special: false });
  } catch (error) {
    await reading.then(
      ({ arena }) => binding.release(arena),
      () => {},
    );
    throw error;
  }
  const target = new NativeTarget(binding, config, await reading, { threads, cacheType });
  try {
    const name = (id: number | undefined) => (id === undefined ? "" : spec.tokens[id]!);
    return new Model({
      name: basename(path, ".gguf"),
      target,
      tokenizer,
      endTokens: tokenizer.endTokens,
      chatTemplate:
        template === undefined
          ? undefined
          : new ChatTemplate(template, { bosToken: name(spec.bosToken), eosToken: name(spec.eosToken) }),
      passTimes: passTimes === false ? undefined : (passTimes ?? (await quickPassTimes(target))),
    });
  } catch (error) {
    await target[Symbol.asyncDispose]();
    throw error;
  }
}

/** One thread for each core that this process may use. */
function defaultThreads(): number {
  return Math.min(64, availableParallelism());
}
