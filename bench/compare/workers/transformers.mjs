/**
 * @file transformers.js on a folder with an ONNX model, which must be the same model as the GGUF file: it gets the same token ids, and its
 * tokenizer is asked whether they are the same tokens.
 */

import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { serve } from "../../processes.mjs";

const PACKAGE = "@huggingface/transformers";

serve(async ({ folder, dtype, threads }) => {
  if (!existsSync(join(folder, "config.json"))) {
    throw new Error(
      `${folder} has no config.json; give --transformers a folder with an ONNX model: config.json, tokenizer.json, onnx/`,
    );
  }
  const { AutoModelForCausalLM, AutoTokenizer, BaseStreamer, Tensor, env } = await load();
  Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: dirname(folder) });
  const name = basename(folder);
  const tokenizer = await AutoTokenizer.from_pretrained(name);
  const model = await AutoModelForCausalLM.from_pretrained(name, {
    dtype,
    device: "cpu",
    session_options: { intraOpNumThreads: threads, interOpNumThreads: 1 },
  });
  const ends = new Set([model.generation_config?.eos_token_id ?? []].flat());

  return {
    settings: { version: version(), dtype, threads },

    async generate({ tokens: prompt, maxTokens }) {
      const tokens = [];
      let firstMs;
      let isPrompt = true;
      const start = performance.now();
      class Arrivals extends BaseStreamer {
        put([ids]) {
          if (isPrompt) isPrompt = false;
          else {
            firstMs ??= performance.now() - start;
            tokens.push(...ids.map(Number));
          }
        }
        end() {}
      }
      const shape = [1, prompt.length];
      await model.generate({
        input_ids: new Tensor("int64", BigInt64Array.from(prompt, BigInt), shape),
        attention_mask: new Tensor("int64", new BigInt64Array(prompt.length).fill(1n), shape),
        max_new_tokens: maxTokens,
        do_sample: false,
        streamer: new Arrivals(),
      });
      const decodeMs = performance.now() - start - firstMs;
      const ended = ends.has(tokens.at(-1));
      return {
        text: tokenizer.decode(tokens, { skip_special_tokens: true }),
        firstMs,
        decodeMs,
        first: 1,
        generated: tokens.length,
        ended,
        passes: tokens.length,
      };
    },

    async tokenize({ text }) {
      return tokenizer.encode(text, { add_special_tokens: false });
    },
  };
});

async function load() {
  try {
    return await import(PACKAGE);
  } catch (cause) {
    if (cause.code !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new Error(
      `--transformers needs ${PACKAGE}, which is not installed; run "npm install --no-save ${PACKAGE}" in bench/`,
      { cause },
    );
  }
}

function version() {
  let folder = dirname(new URL(import.meta.resolve(PACKAGE)).pathname);
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
}
