/** @file The tokenizer and the chat template that a GGUF file holds. */

import { EspalierError } from "../errors.ts";
import { preTokenizer } from "../text/pre-tokenizer.ts";
import type { TokenizerSpec } from "../text/tokenizer.ts";
import type { TokenId } from "../types.ts";
import type { Gguf } from "./gguf.ts";
import { Metadata } from "./metadata.ts";

const mostTokenType = 6;
const normalToken = 1;

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
  const { addBos } = preTokenizer(model, pre);

  const merges = metadata.strings("tokenizer.ggml.merges");
  if (merges === undefined) throw metadata.bad('metadata "tokenizer.ggml.merges" is missing');
  const broken = merges.find((merge) => !isPair(merge));
  if (broken !== undefined) {
    throw metadata.bad(
      `the merge ${JSON.stringify(broken.slice(0, 60))} is not two parts with a space between`,
    );
  }
  const types = metadata.integers("tokenizer.ggml.token_type") ?? tokens.map(() => normalToken);
  if (types.length !== tokens.length) {
    throw metadata.bad(`the tokenizer has ${tokens.length} tokens, but the types of ${types.length}`);
  }
  const wrong = types.findIndex((type) => type < 0 || type > mostTokenType);
  if (wrong >= 0)
    throw metadata.bad(`token ${wrong} is of type ${types[wrong]}; types go from 0 to ${mostTokenType}`);
  if (metadata.boolean("tokenizer.ggml.add_eos_token", false)) {
    throw new EspalierError(
      "unsupported-tokenizer",
      `${gguf.path}: prompts that must end with the end-of-text token are not supported`,
    );
  }

  const token = (name: string): TokenId | undefined => {
    const key = `tokenizer.ggml.${name}_token_id`;
    return metadata.has(key) ? metadata.integer(key, { min: 0, max: tokens.length - 1 }) : undefined;
  };
  const bosToken = token("bos");
  const eosToken = token("eos");
  const eotToken = token("eot");
  return {
    model,
    pre,
    tokens,
    types,
    merges,
    ...(bosToken !== undefined && { bosToken }),
    ...(eosToken !== undefined && { eosToken }),
    ...(eotToken !== undefined && { eotToken }),
    addBos: metadata.boolean("tokenizer.ggml.add_bos_token", addBos),
    addSpacePrefix: metadata.boolean("tokenizer.ggml.add_space_prefix", false),
  };
}

/** Two parts with one space between them. */
function isPair(merge: string): boolean {
  const space = merge.indexOf(" ");
  return space > 0 && space < merge.length - 1 && merge.lastIndexOf(" ") === space;
}

/** The Jinja source of the file's chat template, or undefined when it has none. */
export function readChatTemplate(gguf: Gguf): string | undefined {
  return new Metadata(gguf).string("tokenizer.chat_template");
}
