/**
 * @file `npm run bench:replay -- [--trace FILE] [--record --model M [--draft-model D] [--head H | --exit E] [--ldlp L] --prompts F …]`: structures and
 * stop rules compared on a trace, which is read from a file or recorded first. Without options: the trace that the tests have.
 */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readPrompts, spread } from "../../src/cli/prompts.ts";
import { table } from "../../src/cli/table.ts";
import { loadModel } from "../../src/engine/load.ts";
import { COSTS, type Comparison, compareExpectation, compareRules, compareTrees } from "./compare.ts";
import { record } from "./record.ts";
import { packTrace, type Trace, unpackTrace } from "./trace.ts";

/** Of the trees whose expectation is compared with what was accepted. */
const NODES = 8;

export async function main(root: string): Promise<void> {
  const { values } = parseArgs({
    options: {
      trace: { type: "string", default: join(root, "bench/replay/espalier-tiny.trace.gz") },
      record: { type: "boolean", default: false },
      model: { type: "string" },
      "draft-model": { type: "string" },
      head: { type: "string", default: "none" },
      exit: { type: "string", default: "none" },
      ldlp: { type: "string" },
      prompts: { type: "string", default: join(root, "bench/replay/prompts.jsonl") },
      limit: { type: "string" },
      "max-tokens": { type: "string", default: "64" },
      nodes: { type: "string", default: "24" },
    },
  });
  const count = (name: "limit" | "max-tokens" | "nodes") => {
    const number = Number(values[name]);
    if (Number.isInteger(number) && number >= 1) return number;
    throw new RangeError(`--${name} is ${values[name]}; give an integer of at least 1`);
  };
  if (values.record) {
    const embedded = (name: string) => join(root, "models/espalier-tiny", name);
    const draftModel =
      values["draft-model"] ??
      (values.model === undefined ? embedded("espalier-tiny-draft.gguf") : undefined);
    await using model = await loadModel(values.model ?? embedded("espalier-tiny.gguf"), {
      head: values.head,
      exit: values.exit,
      passTimes: false,
      ...(draftModel && { draftModel }),
      ...(values.ldlp && { ldlp: values.ldlp }),
    });
    const files = await Promise.all(values.prompts.split(",").map(readPrompts));
    const chosen = files.flatMap((file) =>
      spread(file, values.limit === undefined ? undefined : count("limit")),
    );
    const { chatTemplate, tokenizer } = model.parts;
    const prompts = chosen.map(({ id, turns, system }) => {
      const messages = [
        ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
        { role: "user" as const, content: turns[0]! },
      ];
      const text = chatTemplate!.render(messages, { addGenerationPrompt: true });
      return { id, tokens: tokenizer.encode(text, { special: true }) };
    });
    const trace = await record(model, {
      prompts,
      maxTokens: count("max-tokens"),
      nodes: count("nodes"),
      onText: (done) => process.stderr.write(`${done} of ${prompts.length} texts\n`),
    });
    await writeFile(values.trace, packTrace(trace));
  }
  const trace = unpackTrace(await readFile(values.trace));
  process.stdout.write(`${await report(trace)}\n`);
}

async function report(trace: Trace): Promise<string> {
  const tokens = trace.texts.reduce((sum, { steps }) => sum + steps.length, 0);
  const { steps, unknown, expected, accepted, bins } = await compareExpectation(
    trace,
    Math.min(NODES, trace.nodes),
  );
  const rows = bins.map((bin) => [
    `${bin.from} to ${bin.from + 0.5}`,
    String(bin.steps),
    bin.expected.toFixed(3),
    bin.accepted.toFixed(3),
  ]);
  return [
    `${trace.model} with ${trace.drafter}: ${trace.texts.length} texts, ${tokens} tokens`,
    "",
    show("chains", await compareRules(trace)),
    "",
    show("trees", await compareTrees(trace)),
    "",
    `expected and accepted tokens of opt-tree's trees of ${Math.min(NODES, trace.nodes)} nodes, with counted odds, ${steps} steps:`,
    table([["expected", "steps", "mean", "accepted"], ...rows], { numbersFrom: 1 }),
    `mean ${expected.toFixed(3)} expected, ${accepted.toFixed(3)} accepted, ${unknown} answers not in the trace`,
  ].join("\n");
}

/** Tokens in the time of a pass, when a question takes the part `cost` of one. */
function pace({ tokens, passes, questions }: Comparison[string], cost: number): string {
  return (tokens / (passes + cost * questions)).toFixed(3);
}

function show(title: string, comparison: Comparison): string {
  const rows = Object.entries(comparison).map(([name, replayed]) => [
    name,
    (replayed.tokens / replayed.passes).toFixed(3),
    String(replayed.passes),
    String(replayed.drafted),
    String(replayed.wasted),
    String(replayed.questions),
    String(replayed.asked),
    String(replayed.unknown),
    ...COSTS.map((cost) => pace(replayed, cost)),
  ]);
  const head = [
    title,
    "MAT",
    "passes",
    "drafted",
    "wasted",
    "questions",
    "rows asked",
    "unknown",
    ...COSTS.map((cost) => `pace at ${cost}`),
  ];
  return table([head, ...rows], { numbersFrom: 1 });
}
