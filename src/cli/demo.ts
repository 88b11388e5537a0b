/** @file `espalier demo`: stories, plain and drafted side by side, and what each way of writing them cost. */

import { cpus } from "node:os";
import type { Command } from "commander";
import type { GenerateRequest } from "../session/api.ts";
import type { Model } from "../session/model.ts";
import { engineOf } from "./engine-info.ts";
import { interruptible } from "./interrupt.ts";
import { allowsColors, dim, type Exit, FAILED, INTERRUPTED, type Io } from "./io.ts";
import { type ModelOptions, withModel } from "./model.ts";
import { addModel, shared } from "./options.ts";
import { Painter } from "./paint.ts";
import { type End, Lane, race } from "./race.ts";
import { type Column, fitsSideBySide, SideBySide } from "./side-by-side.ts";
import { table } from "./table.ts";

interface Options extends ModelOptions {
  readonly method?: string;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed: number;
}

const REQUESTS = [
  "Tell me a story about a brave snail named Otto and a red kite.",
  "Write a short story about Mila the fox and a lantern.",
  "Can you tell a story about an old robot named Bruno who finds a violin?",
  "Tell me a story about two sisters who build a boat.",
  "Write a story about a bear named Hugo who is afraid of the dark.",
  "Tell me a short story about a lost mitten and a kind postman.",
  "Can you write a story about Nora, a turtle and the sea?",
  "Tell me a story about a boy named Emil who grows a giant pumpkin.",
];
/** Stories that are written at least, and milliseconds after which no more begin: one story of a small model is over before its time says much. */
const LEAST = 3;
const ENOUGH_MS = 2000;
/** Tokens of each method before the clock runs, in trees of so many nodes, so that none pays for the program's own start and code that is cold is no reason to give up drafts. */
const WARM_UP = 128;
const WARM_UP_NODES = 6;

const EXAMPLES = `
Examples:
  espalier demo
  espalier demo -m smollm2-135m

Both ways of writing take turns on the same cores, a few hundredths of a second each; only their own turns count.
Tokens in colour were guessed by a drafter and confirmed by the model.`;

export function addDemo(program: Command, io: Io, exit: Exit): void {
  addModel(program.command("demo").description("Write stories, plain and drafted side by side, and compare."))
    .addOption(shared.method())
    .addOption(shared.maxTokens().default(250))
    .addOption(shared.temperature())
    .addOption(shared.seed())
    .addHelpText("after", EXAMPLES)
    .action((options: Options) =>
      withModel(options, io, (model) =>
        interruptible(io, async (signal) => {
          const stories = await write(model, options, signal, io);
          if (signal.aborted) return exit(INTERRUPTED);
          const same = stories.every(({ plain, drafted }) => isSame(plain, drafted));
          io.stdout.write(`${summary(stories, same)}\n${dim(conditions(model, options), io.stdout, io)}\n`);
          if (!same) exit(FAILED);
        }),
      ),
    );
}

interface Story {
  readonly plain: End;
  readonly drafted: End;
}

async function write(model: Model, options: Options, signal: AbortSignal, io: Io): Promise<Story[]> {
  const { method = model.defaultMethod, maxTokens, temperature, seed } = options;
  const ask = (content: string): GenerateRequest => ({
    messages: [{ role: "user", content }],
    temperature,
    seed,
    maxTokens,
    signal,
  });
  for (const name of ["plain", method]) {
    const request = { ...ask(REQUESTS[0]!), method: name, maxTokens: WARM_UP, budget: WARM_UP_NODES };
    const warmUp = new Lane(name, model.generate(request));
    await race([warmUp], () => {});
  }
  const stories: Story[] = [];
  for (const content of REQUESTS) {
    const ms = stories.reduce(
      (sum, { plain, drafted }) => sum + plain.stats.decodeMs + drafted.stats.decodeMs,
      0,
    );
    if (signal.aborted || (stories.length >= LEAST && ms > ENOUGH_MS)) break;
    const plain = new Lane("plain", model.generate({ ...ask(content), method: "plain" }));
    const drafted = new Lane("drafted", model.generate({ ...ask(content), method }));
    io.stdout.write(`> ${content}\n\n`);
    // Who has the first turn finds other things in the processor's caches than who has the second.
    const turns = stories.length % 2 === 0 ? [plain, drafted] : [drafted, plain];
    await show([plain, drafted], turns, io);
    io.stdout.write("\n");
    stories.push({ plain: plain.end!, drafted: drafted.end! });
  }
  return stories;
}

/** Runs the lanes, the first of `turns` first, side by side where there is room for it; else shows the last one's text when all have ended. */
async function show(lanes: readonly Lane[], turns: readonly Lane[], io: Io): Promise<void> {
  const columns = () => lanes.map((lane) => columnOf(lane, io));
  if (fitsSideBySide(io.stdout, lanes.length)) {
    const view = new SideBySide(io.stdout);
    await race(turns, () => view.update(columns()));
    view.finish(columns());
  } else {
    await race(turns, () => {});
    const titles = columns().map(({ title }) => title);
    io.stdout.write(`${lanes.at(-1)!.end!.text}\n\n${titles.join("\n")}\n`);
  }
}

function columnOf({ title, pieces, end }: Lane, io: Io): Column {
  const text = new Painter(allowsColors(io)).text(pieces).trimStart();
  const rate = end === undefined ? "" : `, ${end.stats.tokensPerSecond.toFixed(0)} a second`;
  return { title: `${title}: ${pieces.length} tokens${rate}`, text };
}

function isSame(a: End, b: End): boolean {
  return a.text === b.text && a.tokens.join() === b.tokens.join();
}

function summary(stories: readonly Story[], same: boolean): string {
  const row = (title: string, ends: readonly End[]) => {
    const sum = (of: (end: End) => number) => ends.reduce((total, end) => total + of(end), 0);
    const [tokens, passes] = [sum(({ tokens }) => tokens.length), sum(({ stats }) => stats.passes)];
    const rate = (tokens / sum(({ stats }) => stats.decodeMs)) * 1000;
    return [title, rate.toFixed(0), String(passes), (tokens / passes).toFixed(2)];
  };
  const rows = [
    ["", "tokens/s", "passes", "mean accepted tokens"],
    row(
      "plain",
      stories.map(({ plain }) => plain),
    ),
    row(
      "drafted",
      stories.map(({ drafted }) => drafted),
    ),
  ];
  return `${table(rows, { numbersFrom: 1 })}\n\nsame text: ${same ? "yes" : "NO"}`;
}

function conditions(model: Model, { method = model.defaultMethod }: Options): string {
  const { isa, threads } = engineOf(model);
  const cpu = cpus()[0]?.model.trim() ?? "unknown processor";
  return `${model.name}, ${method}, ${cpu}, ${threads} threads, ${isa}`;
}
