/**
 * @file `npm run bench:sequences`: what it costs that the rows of a pass belong to several texts. Passes over one tree of N nodes
 * and over N sequences of one node each take turns, all with the same length of text; figures are medians with quartiles.
 */

import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { findModel } from "../../dist/checkpoint/find-model.js";
import { commit } from "../../dist/cli/version.js";
import { loadModel } from "../../dist/index.js";
import { DraftTree } from "../../dist/tree/draft-tree.js";

const USAGE =
  "usage: npm run bench:sequences -- --model M [--sequences N] [--context T] [--rounds R] [--weights file|q4]";
const WANT = { topK: 1 };

function readOptions() {
  const { values } = parseArgs({
    options: {
      model: { type: "string", short: "m" },
      sequences: { type: "string", default: "4" },
      context: { type: "string", default: "256" },
      rounds: { type: "string", default: "25" },
      weights: { type: "string", default: "file" },
    },
  });
  if (values.model === undefined) throw new TypeError(`--model is missing; ${USAGE}`);
  for (const name of ["sequences", "context", "rounds"]) {
    if (!(Number.isInteger(Number(values[name])) && Number(values[name]) >= 1)) {
      throw new RangeError(`--${name} is ${values[name]}; give an integer of at least 1`);
    }
  }
  const [sequences, context, rounds] = [values.sequences, values.context, values.rounds].map(Number);
  return { model: values.model, weights: values.weights, sequences, context, rounds };
}

function quartiles(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part) => sorted[Math.round(part * (sorted.length - 1))];
  return { low: at(0.25), median: at(0.5), high: at(0.75) };
}

async function main() {
  const { sequences: count, context, rounds, ...options } = readOptions();
  const model = await loadModel(await findModel(options.model), {
    weights: options.weights,
    passTimes: false,
  });
  const { target } = model.parts;
  const token = (i) => (i * 7919) % target.vocabSize;
  const sequences = [];
  for (let i = 0; i < count; i++) {
    const sequence = await target.createSequence({ capacity: context + count });
    await sequence.prefill(Array.from({ length: context }, (_, at) => token(at + i)));
    sequences.push(sequence);
  }
  const tree = new DraftTree(token(1), count);
  while (tree.size < count) tree.push(0, token(tree.size + 1), 0.5);
  const requests = {
    tree: [{ sequence: sequences[0], tree }],
    sequences: sequences.map((sequence, i) => ({ sequence, tree: new DraftTree(token(i + 1), 1) })),
  };
  const times = { tree: [], sequences: [] };
  for (let round = -2; round < rounds; round++) {
    for (const name of round % 2 ? ["tree", "sequences"] : ["sequences", "tree"]) {
      const start = performance.now();
      await target.forwardAll(requests[name], WANT);
      if (round >= 0) times[name].push(performance.now() - start);
      for (const { sequence } of requests[name]) sequence.rollback();
    }
  }
  const [one, several] = [quartiles(times.tree), quartiles(times.sequences)];
  const show = ({ low, median, high }) => `${median.toFixed(2)} ms (${low.toFixed(2)}-${high.toFixed(2)})`;
  console.log(`one tree of ${count} nodes            ${show(one)}`);
  console.log(`${count} sequences of one node each  ${show(several)}`);
  console.log(`ratio ${(several.median / one.median).toFixed(3)}`);
  console.log(
    `${cpus()[0]?.model}, ${availableParallelism()} cores, ${target.isa}, weights ${options.weights}, context ${context}, ${rounds} rounds, ${commit()}`,
  );
  for (const sequence of sequences) await sequence[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench:sequences: ${error.message}\n`);
  process.exitCode = 1;
}
