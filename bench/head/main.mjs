/**
 * @file `npm run bench:head`: what drafting with a head costs beside passes of its model. Passes of one row, the head's passes and whole steps
 * take turns; figures are medians with quartiles. Without --head, a head of random weights is measured.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findModel } from "../../dist/checkpoint/find-model.js";
import { commit } from "../../dist/cli/version.js";
import { EagleDrafter } from "../../dist/draft/eagle.js";
import { loadModel } from "../../dist/index.js";
import { OptTree } from "../../dist/structure/opt-tree.js";
import { fixed } from "../../dist/structure/stop/fixed.js";
import { DraftTree } from "../../dist/tree/draft-tree.js";
import { writeRandomHead } from "./random-head.mjs";

const USAGE = `usage: npm run bench:head -- --model M [--head FILE | --vocab N --inner N --kind q4_1|q8_0]
  [--width N] [--levels N] [--nodes N] [--context T] [--rounds R] [--threads N]`;
const NUMBERS = { vocab: 8192, width: 8, levels: 4, nodes: 8, context: 256, rounds: 40 };

function readOptions() {
  const text = Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, { type: "string" }]));
  const { values } = parseArgs({
    options: {
      ...text,
      model: { type: "string", short: "m" },
      head: { type: "string" },
      inner: { type: "string" },
      threads: { type: "string" },
      kind: { type: "string", default: "q4_1" },
    },
  });
  if (values.model === undefined) throw new TypeError(`--model is missing; ${USAGE}`);
  const options = { ...NUMBERS, model: values.model, head: values.head, kind: values.kind };
  for (const name of [...Object.keys(NUMBERS), "inner", "threads"]) {
    if (values[name] === undefined) continue;
    options[name] = Number(values[name]);
    if (!(Number.isInteger(options[name]) && options[name] >= 1)) {
      throw new RangeError(`--${name} is ${values[name]}; give an integer of at least 1`);
    }
  }
  return options;
}

function quartiles(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part) => sorted[Math.round(part * (sorted.length - 1))];
  return { low: at(0.25), median: at(0.5), high: at(0.75) };
}

/** Everything that takes turns, by name; each gives the milliseconds that count. */
async function contenders({ target, head }, { context, width, levels, nodes }) {
  const token = (i) => (i * 7919) % target.vocabSize;
  const prompt = Array.from({ length: context }, (_, at) => token(at));
  const capacity = context + 64;
  const timed = async (work) => {
    const start = performance.now();
    await work();
    return performance.now() - start;
  };

  const text = await target.createSequence({ capacity });
  await text.prefill(prompt);
  const plain = async () => {
    const ms = await timed(() => text.forward(new DraftTree(token(1), 1), { topK: 1 }));
    text.rollback();
    return ms;
  };

  const rows = head.createSequence({ capacity });
  const features = (count) => Float32Array.from({ length: count * head.featureSize }, (_, i) => Math.sin(i));
  await rows.read(Int32Array.from(prompt), features(context));
  const first = async (count) => {
    const tree = new DraftTree(token(1), count);
    while (tree.size < count) tree.push(tree.size - 1, token(tree.size + 1), 1);
    const input = features(count);
    const ms = await timed(() =>
      rows.forward({ tree, first: 0, input, from: "target", topK: width, lastOnly: true }),
    );
    rows.rollback();
    return ms;
  };
  const level = async () => {
    const tree = new DraftTree(token(1), 1 + width);
    await rows.forward({ tree, first: 0, input: features(1), from: "target", topK: width });
    while (tree.size <= width) tree.push(0, token(tree.size + 1), 1);
    const input = Float32Array.from({ length: width * head.hiddenSize }, (_, i) => Math.sin(i));
    const ms = await timed(() => rows.forward({ tree, first: 1, input, from: "head", topK: width }));
    rows.rollback();
    return ms;
  };

  // Whole steps, of which each accepts three tokens, as a trained head's do.
  const steps = await target.createSequence({ capacity });
  const drafter = new EagleDrafter(head, capacity);
  const want = { topK: 1, taps: drafter.taps };
  const structure = new OptTree(fixed(levels), { width, branches: width });
  const step = async () => {
    if (steps.length === 0 || steps.length + 2 * levels >= capacity) {
      steps.truncate(0);
      drafter.resume([]);
      drafter.resume(prompt);
      await steps.prefill(prompt.slice(0, -1), {
        want,
        onChunk: ({ tokens, pass }) => drafter.observePrompt(tokens, pass, steps.length - tokens.length),
      });
    }
    const position = steps.length;
    const tree = new DraftTree(token(position), nodes);
    const start = performance.now();
    await structure.grow(tree, [drafter], { nodes, depth: levels });
    const grown = performance.now();
    const pass = await steps.forward(tree, want);
    const passed = performance.now();
    const path = tree.path(tree.size - 1).slice(0, 3);
    steps.commit(path);
    await drafter.observe({ tree, pass, path, bonus: token(position + path.length), position });
    const end = performance.now();
    return { drafting: grown - start + end - passed, all: end - start };
  };
  const free = async () => {
    await drafter[Symbol.asyncDispose]();
    for (const sequence of [text, rows, steps]) await sequence[Symbol.asyncDispose]();
  };
  return {
    free,
    passes: { plain, "first, 1 row": () => first(1), "first, 4 rows": () => first(4), level },
    step,
  };
}

async function measure(model, options) {
  const { passes, step, free } = await contenders(model.parts, options);
  const names = Object.keys(passes);
  const times = Object.fromEntries(names.map((name) => [name, []]));
  const [drafting, all] = [[], []];
  for (let round = -3; round < options.rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + 3 + turn) % names.length];
      const ms = await passes[name]();
      if (round >= 0) times[name].push(ms);
    }
    const ms = await step();
    if (round < 0) continue;
    drafting.push(ms.drafting);
    all.push(ms.all);
  }
  await free();
  const one = quartiles(times.plain).median;
  const show = ({ low, median, high }) =>
    `${median.toFixed(3)} ms (${low.toFixed(3)}-${high.toFixed(3)})  ${(median / one).toFixed(3)} of one row`;
  const { width, levels, nodes } = options;
  console.log(`model, one row              ${show(quartiles(times.plain))}`);
  for (const name of ["first, 1 row", "first, 4 rows"])
    console.log(`head, ${name.padEnd(22)}${show(quartiles(times[name]))}`);
  console.log(`head, level of ${String(width).padEnd(13)}${show(quartiles(times.level))}`);
  const share = drafting.reduce((sum, ms) => sum + ms, 0) / all.reduce((sum, ms) => sum + ms, 0);
  console.log(`step of ${levels} levels and ${nodes} nodes: drafting ${show(quartiles(drafting))}`);
  console.log(
    `                            all ${show(quartiles(all))}; drafting is ${(100 * share).toFixed(1)} % of it`,
  );
}

async function main() {
  const options = readOptions();
  const path = await findModel(options.model);
  const folder = await mkdtemp(join(tmpdir(), "espalier-head-"));
  try {
    let { head } = options;
    if (head === undefined) {
      head = join(folder, "random.gguf");
      const { vocab, kind, inner } = options;
      await writeRandomHead(head, path, { vocab, kind, inner });
    }
    const model = await loadModel(path, {
      head,
      passTimes: false,
      ...(options.threads && { threads: options.threads }),
    });
    await measure(model, options);
    const { target, head: loaded } = model.parts;
    console.log(
      `${cpus()[0]?.model}, ${availableParallelism()} cores, ${target.threads} threads, ${target.isa}, ${loaded.name} of ${loaded.draftVocab.length} tokens, context ${options.context}, ${options.rounds} rounds, ${commit()}`,
    );
    await model[Symbol.asyncDispose]();
  } finally {
    await rm(folder, { recursive: true });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench:head: ${error.message}\n`);
  process.exitCode = 1;
}
