/**
 * @file `npm run bench:isa`: what a pass costs by number of rows, with every instruction set that this CPU has, as rows of the
 * table in docs/engine.md. The instruction sets take turns, and so do the numbers of rows within a turn, of which each is timed `--rounds`
 * times. The portable one needs a minute a turn: `--isa` names those that are wanted.
 */

import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { commit } from "../../dist/cli/version.js";
import { engine, selectIsa } from "../../dist/engine/binding.js";
import { loadModel } from "../../dist/index.js";
import { measurePasses } from "../../dist/plan/measure.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m" },
    isa: { type: "string", multiple: true },
    turns: { type: "string", default: "5" },
    rounds: { type: "string", default: "5" },
    context: { type: "string", default: "256" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
});
const ROWS = [1, 2, 4, 8, 16, 32];

const usable = engine()
  .isas()
  .filter(({ usable }) => usable);
const isas = values.isa ?? usable.map(({ name }) => name);
const model = await loadModel(values.model, { threads: Number(values.threads) });

/** Instruction set -> rows -> the median of each turn, in ms. */
const times = new Map(isas.map((isa) => [isa, new Map(ROWS.map((rows) => [rows, []]))]));
for (let turn = 0; turn < Number(values.turns); turn++) {
  for (const isa of isas) {
    selectIsa(engine(), isa);
    const context = Number(values.context);
    const { [context]: byRows } = await measurePasses(model.parts.target, {
      rows: ROWS,
      contexts: [context],
      rounds: Number(values.rounds),
    });
    for (const rows of ROWS) times.get(isa).get(rows).push(byRows[rows].median);
  }
}
await model[Symbol.asyncDispose]();

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const range = (numbers, digits) =>
  `${median(numbers).toFixed(digits)} (${Math.min(...numbers).toFixed(digits)}-${Math.max(...numbers).toFixed(digits)})`;
console.log(
  `${cpus()[0].model}, ${values.threads} threads, ${values.model}, context ${values.context}, commit ${commit().slice(0, 10)}`,
);
console.log(
  `| instruction set | t(1) in ms | ${ROWS.slice(1)
    .map((rows) => `t(${rows})/t(1)`)
    .join(" | ")} |`,
);
console.log(`|---${"|---".repeat(ROWS.length)}|`);
for (const [isa, byRows] of times) {
  const one = byRows.get(1);
  const cells = ROWS.slice(1).map((rows) =>
    range(
      byRows.get(rows).map((ms, turn) => ms / one[turn]),
      2,
    ),
  );
  console.log(`| ${isa} | ${range(one, 1)} | ${cells.join(" | ")} |`);
}
