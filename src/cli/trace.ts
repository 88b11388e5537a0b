/** @file `espalier trace`: why the steps of a generation gave as many tokens as they did. */

import { type Command, InvalidArgumentError, Option } from "commander";
import { writeWhole } from "../session/whole-file.ts";
import { allowsColors, type Io, writeJson } from "./io.ts";
import { integer } from "./options.ts";
import { figuresOf, gainOf } from "./trace/figures.ts";
import { readTrace } from "./trace/file.ts";
import type { Trace } from "./trace/format.ts";
import { Pen } from "./trace/pen.ts";
import { counted } from "./trace/step-text.ts";
import { summaryText } from "./trace/summary-text.ts";
import { treeSvg } from "./trace/tree-svg.ts";
import { treeLegend, treeText } from "./trace/tree-text.ts";

interface Span {
  readonly from: number;
  readonly to: number;
}

interface Options {
  readonly step?: number;
  readonly steps?: Span;
  readonly best?: true;
  readonly summary?: true;
  readonly svg?: string;
  readonly json?: true;
  /** Undefined without --color and --no-color. */
  readonly color?: boolean;
}

/** Narrower terminals get lines that are too long. */
const LEAST_WIDTH = 24;

const WHICH = ["step", "steps", "best", "summary"];

const HELP = `
Examples:
  espalier generate --prompt "Once upon a time" --trace out.json
  espalier trace out.json
  espalier trace out.json --steps 10-12
  espalier trace out.json --best --svg tree.svg

Without options: the figures of all steps, and the tree of the step that gave the most tokens.`;

export function addTrace(program: Command, io: Io): void {
  program
    .command("trace")
    .description(
      "Show the steps that generate --trace kept: trees, what was accepted, and where the time went.",
    )
    .argument("<file>", "a trace that generate --trace wrote")
    .addOption(which("--step <n>", "the tree of step n, from 1", "step").argParser(integer({ min: 1 })))
    .addOption(which("--steps <a-b>", "the trees of steps a to b", "steps").argParser(span))
    .addOption(which("--best", "the tree of the step that gave the most tokens", "best"))
    .addOption(which("--summary", "only the figures of all steps", "summary"))
    .addOption(
      new Option("--svg <file>", "draw the tree of one step into a file").conflicts([
        "steps",
        "summary",
        "json",
      ]),
    )
    .addOption(new Option("--color", "with colours, even into a file or a pipe").conflicts("json"))
    .option("--no-color", "without colours")
    .addOption(new Option("--json", "print the figures of all steps as one JSON object").conflicts(WHICH))
    .addHelpText("after", HELP)
    .action(async (file: string, options: Options) => {
      const trace = await readTrace(file);
      if (options.json) writeJson(figuresOf(trace), io);
      else if (options.svg !== undefined) await draw(trace, options, options.svg, io);
      else show(trace, options, io);
    });
}

async function draw(trace: Trace, options: Options, file: string, io: Io): Promise<void> {
  const { from } = chosen(trace, options) ?? best(trace);
  await writeWhole(file, treeSvg(trace, from - 1));
  io.stderr.write(`step ${from} drawn into ${file}\n`);
}

function show(trace: Trace, options: Options, io: Io): void {
  const { stdout } = io;
  const colors = (options.color ?? stdout.isTTY === true) && allowsColors(io);
  const width = Math.max(LEAST_WIDTH, stdout.columns ?? 80);
  const pen = new Pen(trace.drafters, colors);
  const span = chosen(trace, options);
  if (span === undefined) stdout.write(`${summaryText(figuresOf(trace), pen, width)}\n`);
  const shown = span ?? (options.summary || trace.steps.length === 0 ? undefined : best(trace));
  if (shown === undefined) return;
  if (span === undefined) stdout.write("\n");
  stdout.write(`${treeLegend(pen, width)}\n`);
  for (let step = shown.from; step <= shown.to; step++)
    stdout.write(`\n${treeText(trace, step - 1, pen, width)}\n`);
}

/** The steps that were asked for; undefined when none were. */
function chosen(trace: Trace, { step, steps, best: wantsBest }: Options): Span | undefined {
  if (wantsBest) return best(trace);
  const span = step === undefined ? steps : { from: step, to: step };
  if (span !== undefined && span.to > trace.steps.length) {
    const given = step === undefined ? `--steps ${span.from}-${span.to}` : `--step ${step}`;
    throw new RangeError(`${given}: the trace has ${counted(trace.steps.length, "step")}`);
  }
  return span;
}

/** The first of the steps that gave the most tokens. */
function best(trace: Trace): Span {
  if (trace.steps.length === 0) throw new RangeError("the trace has no steps to show");
  const gains = trace.steps.map((step) => gainOf(trace, step));
  const most = gains.reduce((most, gain) => Math.max(most, gain));
  const step = 1 + gains.indexOf(most);
  return { from: step, to: step };
}

function which(flags: string, description: string, name: string): Option {
  return new Option(flags, description).conflicts(WHICH.filter((other) => other !== name));
}

function span(text: string): Span {
  const [, from, to] = /^(\d{1,9})-(\d{1,9})$/.exec(text) ?? [];
  if (from === undefined || Number(from) < 1 || Number(from) > Number(to))
    throw new InvalidArgumentError("It must be two numbers of steps such as 3-7, the smaller one first.");
  return { from: Number(from), to: Number(to) };
}
