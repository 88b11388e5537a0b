/**
 * @file `npm run bench:costs`: what a model's start finds out about its passes, beside what passes take. Real passes are timed in turns over all pairs of
 * rows and length of the text; the curve is that of a fresh start, and that of the same start corrected by the first steps of a text of each length.
 */

import { readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { commit } from "../../dist/cli/version.js";
import { loadCosts } from "../../dist/engine/load-costs.js";
import { loadModel, Model } from "../../dist/index.js";
import { CostCurve } from "../../dist/plan/cost.js";
import { measurePasses } from "../../dist/plan/measure.js";

const USAGE =
  "usage: npm run bench:costs -- [--model M] [--rows 1,4,8,16] [--contexts 100,1000,4000] [--steps N] [--rounds R]";
/** A text long enough for all. */
const TEXT = join(import.meta.dirname, "../../docs/log.md");

function readOptions() {
  const { values } = parseArgs({
    options: {
      model: { type: "string", short: "m" },
      rows: { type: "string", default: "1,4,8,16" },
      contexts: { type: "string", default: "100,1000,4000" },
      steps: { type: "string", default: "100" },
      rounds: { type: "string", default: "15" },
    },
  });
  const numbers = (name) => {
    const list = values[name].split(",").map(Number);
    if (list.every((number) => Number.isInteger(number) && number >= 1)) return list;
    throw new RangeError(`--${name} is ${values[name]}; give integers of at least 1; ${USAGE}`);
  };
  const [rows, contexts] = [numbers("rows"), numbers("contexts")];
  return { model: values.model, rows, contexts, steps: numbers("steps")[0], rounds: numbers("rounds")[0] };
}

/** Costs after the first steps of a text of `length` tokens, from those of a start. */
async function corrected(parts, costs, tokens, steps) {
  let kept;
  const keeper = { learnt: new Map(), refuse() {}, keep: async (_, now) => (kept = now) };
  const model = new Model({ ...parts, passTimes: costs.passes, questionCosts: costs.questions, keeper });
  const controller = new AbortController();
  let done = 0;
  const onStep = () => ++done === steps && controller.abort();
  for await (const _ of model.generate({ tokens, method: "auto", onStep, signal: controller.signal }));
  await model[Symbol.asyncDispose]();
  return { ...kept, done };
}

async function main() {
  const { model: name, rows, contexts, steps, rounds } = readOptions();
  const model = await loadModel(name, { passTimes: false });
  const { parts } = model;
  const { target, head, draftModel, tokenizer } = parts;
  const start = performance.now();
  const costs = await loadCosts(target, { head, draftModel }, undefined, undefined);
  const measuring = performance.now() - start;
  const real = await measurePasses(target, { rows, contexts, rounds });
  const text = tokenizer.encode(readFileSync(TEXT, "utf8"), { special: false });
  // Models that only take part in a text do not free what they are made of.
  const own = [target, head, draftModel].filter(Boolean);
  const frees = own.map((part) => part[Symbol.asyncDispose].bind(part));
  for (const part of own) part[Symbol.asyncDispose] = async () => {};
  const attended = (length) => target.attended(length);
  // Code that runs for the first time is slow.
  await corrected(parts, costs, text.slice(0, contexts[0]), steps);
  const curves = [new CostCurve(costs.passes, attended)];
  const questions = [];
  for (const length of contexts) {
    const after = await corrected(parts, costs, text.slice(0, length), steps);
    if (after.done < steps) console.log(`the text behind ${length} tokens ended after ${after.done} steps`);
    curves.push(new CostCurve(after.passes, attended));
    questions.push(after.questions);
  }
  console.log(`measured in ${measuring.toFixed(0)} ms`);
  console.log(`| tokens | rows | a pass, ms (quartiles) | the curve after a start | after ${steps} steps |`);
  console.log("|---|---|---|---|---|");
  for (const [i, length] of contexts.entries()) {
    for (const count of rows) {
      const { median, low, high } = real[length][count];
      const of = (curve) => {
        const ms = curve.ms(count, length);
        return `${ms.toFixed(2)} (${ms < median ? "" : "+"}${(100 * (ms / median - 1)).toFixed(0)} %)`;
      };
      console.log(
        `| ${length} | ${count} | ${median.toFixed(2)} (${low.toFixed(2)}-${high.toFixed(2)}) | ${of(curves[0])} | ${of(curves[i + 1])} |`,
      );
    }
  }
  const show = (costs) => (costs ? `${costs.first.toFixed(3)} and ${costs.next.toFixed(3)} ms` : "unknown");
  console.log(
    `first and other questions: ${show(costs.questions)}; after ${steps} steps ${questions.map(show).join(", ")}`,
  );
  console.log(
    `${cpus()[0]?.model}, ${availableParallelism()} cores, ${target.isa}, ${rounds} rounds, ${commit()}`,
  );
  for (const [i, part] of own.entries()) part[Symbol.asyncDispose] = frees[i];
  await model[Symbol.asyncDispose]();
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench:costs: ${error.message}\n`);
  process.exitCode = 1;
}
