/**
 * @file `npm run bench:quality -- --model M`: what `--weights q4` changes of a model's predictions, or with `--cache` what keys and values as 16-bit
 * integers change. On the prose and code of `test/reference` the model with the file's values, or with floats, and the other one read the same tokens; the mean Kullback-Leibler divergence
 * between their predictions, and how often the most likely token is the same.
 */

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { findModel } from "../../dist/checkpoint/find-model.js";
import { commit } from "../../dist/cli/version.js";
import { loadModel } from "../../dist/index.js";

const PIECE = 1024;
const TEXT = new URL("../../test/reference/prose-and-code.txt", import.meta.url);

/** Log-probabilities of all tokens. */
function logProbs(logits) {
  const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return logits.map((logit) => logit - largest - Math.log(sum));
}

const best = (logits) => logits.reduce((at, logit, i) => (logit > logits[at] ? i : at), 0);

/** The rows of logits after each token of `tokens`. */
async function predict(model, tokens) {
  const sequence = await model.parts.target.createSequence({ capacity: tokens.length });
  const rows = [];
  await sequence.prefill(tokens, {
    want: { topK: 0, logits: true },
    onChunk: ({ pass }) => {
      for (let node = 0; node < pass.size; node++) rows.push(pass.logits(node).slice());
    },
  });
  await sequence[Symbol.asyncDispose]();
  return rows;
}

async function main() {
  const { values } = parseArgs({
    options: { model: { type: "string", short: "m" }, cache: { type: "boolean" } },
  });
  if (values.model === undefined)
    throw new TypeError("--model is missing; usage: npm run bench:quality -- --model M [--cache]");
  const path = await findModel(values.model);
  const [file, small] = await Promise.all(
    (values.cache
      ? [{ cacheType: "f32" }, { cacheType: "i16" }]
      : [{ weights: "file" }, { weights: "q4" }]
    ).map((options) => loadModel(path, { ...options, passTimes: false })),
  );
  const tokens = file.parts.tokenizer.encode(readFileSync(TEXT, "utf8"), { special: false });
  let [divergence, same] = [0, 0];
  for (let start = 0; start < tokens.length; start += PIECE) {
    const piece = tokens.slice(start, start + PIECE);
    const [expected, actual] = [await predict(file, piece), await predict(small, piece)];
    for (const [i, row] of expected.entries()) {
      const [p, q] = [logProbs(row), logProbs(actual[i])];
      divergence += p.reduce((sum, value, token) => sum + Math.exp(value) * (value - q[token]), 0);
      if (best(row) === best(actual[i])) same++;
    }
  }
  console.log(
    `${values.model}, ${tokens.length} positions: mean KL ${(divergence / tokens.length).toExponential(2)} nats, the same first token at ${((100 * same) / tokens.length).toFixed(1)} %, ${commit()}`,
  );
  await Promise.all([file, small].map((model) => model[Symbol.asyncDispose]()));
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench:quality: ${error.message}\n`);
  process.exitCode = 1;
}
