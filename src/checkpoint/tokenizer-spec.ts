/** @file The tokenizer and the chat template that a GGUF file holds. */

import { EspalierError } from "../errors.ts";
import { tokenizerDefaults } from "../text/tokenizer.ts";
import { type TokenizerSpec, tokenType } from "../text/vocabulary.ts";
import type { TokenId } from "../types.ts";
import type { Gguf } from "./gguf.ts";
import { Metadata } from "./metadata.ts";

const mostTokenType = 6;

/**
 * Reads and checks the tokenizer. Throws EspalierError "missing-tokenizer", "unsupported-tokenizer" (naming what is
 * supported), or "bad-model" when its parts do not fit together.
 */
export function readTokenizerSpec(gguf: Gguf): TokenizerSpec {
  const metadata = new Metadata(gguf);
  const model = metadata.string("tokenizer.ggml.model");
  const tokens = metadata.strings("tokenizer.ggml.tokens");
  if (model === undefined || tokens === undefined || tokens.length === 0) {
    throw new EspalierError("missing-tokenizer", `${gguf.path}: the file holds no tokenizer`);
  }
  const pre = metadata.string("tokenizer.ggml.pre") ?? "default";
  const defaults = tokenizerDefaults(model, pre);
  const token = (name: string): TokenId | undefined => {
    const key = `tokenizer.ggml.${name}_token_id`;
    return metadata.has(key) ? metadata.integer(key, { min: 0, max: tokens.length - 1 }) : undefined;
  };
  const bosToken = token("bos");
  const eosToken = token("eos");
  const eotToken = token("eot");
  const unknownToken = token("unknown");
  return {
    model,
    pre,
    tokens,
    types: tokenTypes(metadata, tokens),
    merges: defaults.needs === "merges" ? merges(metadata) : [],
    scores: defaults.needs === "scores" ? scores(metadata, tokens) : [],
    ...(bosToken !== undefined && { bosToken }),
    ...(eosToken !== undefined && { eosToken }),
    ...(eotToken !== undefined && { eotToken }),
    ...(unknownToken !== undefined && { unknownToken }),
    addBos: metadata.boolean("tokenizer.ggml.add_bos_token", defaults.addBos),
    addEos: metadata.boolean("tokenizer.ggml.add_eos_token", false),
    addSpacePrefix: metadata.boolean("tokenizer.ggml.add_space_prefix", defaults.addSpacePrefix),
    trimAfterControl: model === "llama" && metadata.string("general.architecture") === "phi3",
  };
}

function tokenTypes(metadata: Metadata, tokens: readonly string[]): readonly number[] {
  const types = metadata.integers("tokenizer.ggml.token_type") ?? tokens.map(() => tokenType.normal);
  if (types.length !== tokens.length) {
    throw metadata.bad(`the tokenizer has ${tokens.length} tokens, but the types of ${types.length}`);
  }
  const wrong = types.findIndex((type) => type < 0 || type > mostTokenType);
  if (wrong >= 0)
    throw metadata.bad(`token ${wrong} is of type ${types[wrong]}; types go from 0 to ${mostTokenType}`);
  return types;
}

function merges(metadata: Metadata): readonly string[] {
  const merges = metadata.strings("tokenizer.ggml.merges");
  if (merges === undefined) throw metadata.bad('metadata "tokenizer.ggml.merges" is missing');
  return merges;
}

function scores(metadata: Metadata, tokens: readonly string[]): readonly number[] {
  const scores = metadata.floats("tokenizer.ggml.scores");
  if (scores === undefined) throw metadata.bad('metadata "tokenizer.ggml.scores" is missing');
  if (scores.length !== tokens.length) {
    throw metadata.bad(`the tokenizer has ${tokens.length} tokens, but the scores of ${scores.length}`);
  }
  const wrong = scores.findIndex((score) => !Number.isFinite(score));
  if (wrong >= 0)
    throw metadata.bad(`token ${wrong} has the score ${scores[wrong]}; scores are finite numbers`);
  return scores;
}

/** The Jinja source of the file's chat template, or undefined when it has none. */
export function readChatTemplate(gguf: Gguf): string | undefined {
  return new Metadata(gguf).string("tokenizer.chat_template");
}
