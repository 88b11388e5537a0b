/**
 * @file `npm run bench:peer`: Espalier and node-llama-cpp on the same model, in turns. Each side lives in a process of its
 * own and sleeps while it is the other's turn; both get the same token ids, and tokens are counted the same way: from the
 * first token's arrival at the caller to the last one's.
 */

import { readFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { findModel } from "../../dist/checkpoint/find-model.js";
import { processorTime, startWorker } from "../processes.mjs";
import { installLlama } from "./llama.mjs";

const USAGE =
  "usage: npm run bench:peer -- --model M [--rounds N] [--threads K] [--weights file|q4] [--json]";
const SIDES = ["espalier", "node-llama-cpp"];
const CONTEXT = 256;
const GENERATED = 128;
const PREFILL = 512;
/** With more of the machine taken by others the figures mean little, and the report says so. */
const BUSY = 0.03;

async function main() {
  const options = readOptions();
  installLlama();
  const model = await findModel(options.model);
  const sides = await Promise.all(SIDES.map((name) => start(name, model, options)));
  try {
    const text = readFileSync(new URL("prose.txt", import.meta.url), "utf8");
    const tokens = await sides[1].ask("tokenize", { text });
    if (tokens.join() !== (await sides[0].ask("tokenize", { text })).join()) {
      throw new Error("the two tokenizers disagree about the prompt");
    }
    if (tokens.length < PREFILL + options.rounds) {
      throw new RangeError(`--rounds is ${options.rounds}; at most ${tokens.length - PREFILL} are possible`);
    }
    const before = await processorTime(sides);
    const results = await measure(sides, tokens, options.rounds);
    const after = await processorTime(sides);
    report(results, sides, (after.others - before.others) / (after.all - before.all), options);
  } finally {
    for (const { child } of sides) child.disconnect();
  }
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      model: { type: "string", short: "m" },
      rounds: { type: "string", default: "11" },
      threads: { type: "string", default: "2" },
      weights: { type: "string", default: "file" },
      json: { type: "boolean", default: false },
    },
  });
  const { model, json, weights } = values;
  const [rounds, threads] = [Number(values.rounds), Number(values.threads)];
  if (model === undefined) throw new TypeError(`--model is missing; ${USAGE}`);
  for (const [name, value] of Object.entries({ rounds, threads })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`--${name} is ${values[name]}; give an integer of at least 1`);
    }
  }
  if (!["file", "q4"].includes(weights)) throw new RangeError(`--weights is ${weights}; give file or q4`);
  return { model, rounds, threads, weights, json };
}

/** Loads a side in a process of its own. */
function start(name, model, { threads, weights }) {
  const file = name === "espalier" ? "espalier-worker.mjs" : "llama-worker.mjs";
  return startWorker(name, new URL(file, import.meta.url), { model, threads, weights });
}

/** Who goes first alternates. The first round warms up and is not counted. */
async function measure(sides, tokens, rounds) {
  const results = new Map(sides.map(({ name }) => [name, { plain: [], prefill: [], texts: [] }]));
  for (let round = 0; round <= rounds; round++) {
    for (const { name, ask } of round % 2 ? sides : sides.toReversed()) {
      // Each round has a prompt of its own, so that no cache could serve it.
      const prompt = tokens.slice(round, round + CONTEXT);
      const plain = await ask("plain", { tokens: prompt, maxTokens: GENERATED + 1 });
      const prefill = await ask("prefill", { tokens: tokens.slice(round, round + PREFILL) });
      if (round === 0) continue;
      const result = results.get(name);
      result.plain.push(timing(name, plain));
      result.prefill.push(prefill.ms);
      result.texts.push(plain.tokens);
    }
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  return results;
}

/** Tokens a second, and the median time between two tokens. The first token belongs to the prefill. */
function timing(name, { tokens, times }) {
  if (tokens.length <= GENERATED / 2) throw new Error(`${name} ended its text after ${tokens.length} tokens`);
  const first = times.lastIndexOf(times[0]);
  const counted = tokens.length - 1 - first;
  return {
    tokensPerSecond: (1000 * counted) / (times.at(-1) - times[0]),
    msPerToken: median(times.slice(first + 1).map((time, i) => time - times[first + i])),
  };
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function spread(values) {
  return { min: Math.min(...values), median: median(values), max: Math.max(...values) };
}

function report(results, sides, others, { rounds, json }) {
  const figures = {};
  for (const { name, settings } of sides) {
    const { plain, prefill } = results.get(name);
    figures[name] = {
      settings,
      tokensPerSecond: spread(plain.map(({ tokensPerSecond }) => tokensPerSecond)),
      msPerToken: spread(plain.map(({ msPerToken }) => msPerToken)),
      prefill512Ms: spread(prefill),
    };
  }
  const [ours, peers] = SIDES.map((name) => results.get(name));
  const perRound = {
    plain: ours.plain.map((turn, i) => turn.tokensPerSecond / peers.plain[i].tokensPerSecond),
    prefill512: ours.prefill.map((ms, i) => peers.prefill[i] / ms),
  };
  const [mine, other] = SIDES.map((name) => figures[name]);
  const result = {
    ratios: {
      plain: mine.tokensPerSecond.median / other.tokensPerSecond.median,
      prefill512: other.prefill512Ms.median / mine.prefill512Ms.median,
    },
    /** The ratio of each round, which says how sure the ratio of the medians is. */
    ratiosByRound: { plain: spread(perRound.plain), prefill512: spread(perRound.prefill512) },
    ...figures,
    /** Leading tokens that both generated alike, of 129: the same model should say much the same. */
    equalTokens: spread(ours.texts.map((tokens, i) => equalPrefix(tokens, peers.texts[i]))),
    context: CONTEXT,
    generated: GENERATED,
    rounds,
    /** Part of the processor time that other processes took while this ran. */
    others,
    machine: { cpu: cpus()[0]?.model, cores: availableParallelism(), memoryGb: Math.round(totalmem() / 1e9) },
    node: process.version,
    commit: mine.settings.commit,
  };
  (json ? process.stderr : process.stdout).write(`${show(result)}\n`);
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

function equalPrefix(a, b) {
  const different = a.findIndex((token, i) => token !== b[i]);
  return different < 0 ? a.length : different;
}

function show(result) {
  const of = ({ min, median, max }, digits = 1) =>
    `${median.toFixed(digits)} (${min.toFixed(digits)}-${max.toFixed(digits)})`;
  const lines = SIDES.map((name) => {
    const { tokensPerSecond, msPerToken, prefill512Ms, settings } = result[name];
    return [
      name,
      `  plain        ${of(tokensPerSecond)} tokens/s, ${of(msPerToken, 2)} ms between tokens`,
      `  prefill 512  ${of(prefill512Ms)} ms`,
      `  ${JSON.stringify(settings)}`,
    ].join("\n");
  });
  const { plain, prefill512 } = result.ratiosByRound;
  return [
    ...lines,
    `Espalier over node-llama-cpp, medians: plain ${result.ratios.plain.toFixed(2)}x, prefill ${result.ratios.prefill512.toFixed(2)}x`,
    `by round: plain ${of(plain, 2)}, prefill ${of(prefill512, 2)}`,
    `${result.machine.cpu}, ${result.machine.cores} cores, Node ${result.node}, ${result.rounds} rounds`,
    ...(result.others > BUSY
      ? [`other processes took ${(100 * result.others).toFixed(0)} % of the machine: measure again`]
      : []),
  ].join("\n");
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench:peer: ${error.message}\n`);
  process.exitCode = 1;
}
