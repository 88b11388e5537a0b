/**
 * @file What a run writes, as JSON Lines: one line that says what ran, then one for each round. A round is one prompt, which every contender
 * answers in its turn; only turns of the same round are compared, since a machine's speed changes from minute to minute. A run that is
 * taken up again adds lines to the same file.
 */

export interface Contender {
  /** Such as "plain", "auto" or "node-llama-cpp, lookup". */
  readonly name: string;
  /** "espalier" or the name of another program. */
  readonly engine: string;
  /** Versions and settings, as they say themselves. */
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface Run {
  readonly type: "run";
  readonly model: { readonly name: string; readonly bytes: number; readonly sha256: string };
  readonly draftModel: string | null;
  /** Most tokens of an answer. */
  readonly maxTokens: number;
  /** Milliseconds that every contender had written before, on nobody's clock; default 0. */
  readonly warmUpMs?: number;
  readonly threads: number;
  /** How Espalier kept the weights. */
  readonly weights: string;
  readonly contenders: readonly Contender[];
  readonly machine: { readonly cpu: string; readonly cores: number; readonly memoryGb: number };
  readonly node: string;
  readonly commit: string;
}

/** One contender's answer to one prompt. Milliseconds are the caller's, from the request on. */
export interface Turn {
  readonly contender: string;
  /** Until the first token came. */
  readonly firstMs: number;
  /** From then to the end of the stream. */
  readonly decodeMs: number;
  /** Tokens that came together with the first one, itself included; the others are those that decodeMs was for. */
  readonly first: number;
  /** Tokens of the text by Espalier's tokenizer, and one for the end token if it was generated. */
  readonly tokens: number;
  /** As many as the contender says that it generated. */
  readonly generated: number;
  /** Passes over the model after the prompt; null where it cannot be known. */
  readonly passes: number | null;
  /** Leading tokens of the text that are also those of Espalier's plain text, and whether all are. */
  readonly alike: number;
  readonly same: boolean;
  /** Why a method had stopped to draft by the end. */
  readonly off?: string;
  /** Parts of the machine's time that other programs took meanwhile, and the contenders that waited. */
  readonly others: number;
  readonly waiting: number;
}

export interface Round {
  readonly type: "round";
  readonly category: string;
  readonly id: string;
  readonly promptTokens: number;
  readonly temperature: number;
  /** What the prompt was cut or filled to, in tokens; null: the prompt as it is. */
  readonly context: number | null;
  readonly turns: readonly Turn[];
}

export interface Records {
  readonly runs: readonly Run[];
  readonly rounds: readonly Round[];
}

/** Reads the text of result files, of which `name` says which one is wrong. A last line that is cut off, as by a crash, is left out. */
export function parseRecords(text: string, name: string): Records {
  const runs: Run[] = [];
  const rounds: Round[] = [];
  const lines = text.split("\n");
  for (const [at, line] of lines.entries()) {
    if (line === "") continue;
    let record: Run | Round;
    try {
      record = JSON.parse(line) as Run | Round;
    } catch {
      if (at === lines.length - 1) break;
      throw new TypeError(
        `${name}:${at + 1} is not JSON; give a file that bench:compare or bench:never-slower has written`,
      );
    }
    if (record.type === "run") runs.push(record);
    else if (record.type === "round") rounds.push(record);
    else throw new TypeError(`${name}:${at + 1} is neither a run nor a round`);
  }
  if (runs.length === 0)
    throw new TypeError(`${name} says of no run; give a file that bench:compare has written`);
  return { runs, rounds };
}

/** What must be the same for figures to stand in one table. */
const CONDITIONS = {
  "the model": ({ model }: Run) => model.sha256,
  "the number of tokens": ({ maxTokens }: Run) => maxTokens,
  "the warm-up": ({ warmUpMs = 0 }: Run) => warmUpMs,
  "the number of threads": ({ threads }: Run) => threads,
  "the kind of weights": ({ weights }: Run) => weights,
  "the machine": ({ machine }: Run) => `${machine.cpu}, ${machine.cores} cores`,
} as const;

/** What `later` has otherwise than `earlier`, such as "the model"; undefined when they may stand in one table. */
export function conflict(earlier: Run, later: Run): string | undefined {
  return Object.entries(CONDITIONS).find(([, of]) => of(earlier) !== of(later))?.[0];
}

/** Puts the records of several files together. Throws RangeError when they are not of the same conditions. */
export function mergeRecords(files: readonly (Records & { readonly name: string })[]): Records {
  const runs = files.flatMap((file) => file.runs.map((run) => ({ run, name: file.name })));
  for (const { run, name } of runs) {
    const what = conflict(runs[0]!.run, run);
    if (what !== undefined)
      throw new RangeError(`${name} has not ${what} of ${runs[0]!.name}; render them apart`);
  }
  return { runs: runs.map(({ run }) => run), rounds: files.flatMap(({ rounds }) => rounds) };
}

/** Names one prompt under one condition. */
export function roundKey({
  category,
  id,
  temperature,
  context,
}: Omit<Round, "type" | "turns" | "promptTokens">): string {
  return JSON.stringify([category, id, temperature, context]);
}

/** Whether one of `rounds` holds the turns of all of `contenders` for that key. */
export function isDone(rounds: readonly Round[], key: string, contenders: readonly string[]): boolean {
  return rounds.some((round) => {
    const there = new Set(round.turns.map(({ contender }) => contender));
    return roundKey(round) === key && contenders.every((name) => there.has(name));
  });
}
