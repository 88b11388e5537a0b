/** @file The report of `bench:never-slower`: by cell, one method against plain decoding and against the best single method. */

import { type Cell, cellKey } from "./cells.ts";
import { featuredMethod } from "./comparison.ts";
import { allContenders, conditionsText, DEFINITION, ownOf } from "./conditions.ts";
import {
  CONTROL,
  countedRounds,
  fastest,
  meanOf,
  mostOf,
  PLAIN,
  ratio,
  ratioToMean,
  type Spread,
  spreadOf,
  spreadOver,
  turnOf,
} from "./figures.ts";
import { errorCell, markdownTable, NOTHING } from "./markdown.ts";
import type { Records, Round } from "./records.ts";

/** The least that a cell may have of plain decoding's speed, and of the best single method's. */
export const LEAST_OF_PLAIN = 0.98;
export const LEAST_OF_BEST = 0.97;

export interface Verdict extends Cell {
  readonly rounds: number;
  readonly overPlain: Spread | undefined;
  /** Plain decoding once more over plain decoding, where it took part. */
  readonly control: Spread | undefined;
  /** The method over the mean of both. */
  readonly overBoth: Spread | undefined;
  /** The single method with the highest mean in the cell, plain decoding among them. */
  readonly best: string | undefined;
  readonly overBest: Spread | undefined;
  /** Time to the first token, over plain decoding's. */
  readonly first: Spread | undefined;
  readonly slower: Flag;
  readonly behind: Flag;
}

/** "sure": what the mean may well be, by Student's t, does not reach the limit; "perhaps": the mean is below it, and that may be chance. */
export type Flag = "no" | "perhaps" | "sure";

export function flagOf(ratio: Spread | undefined, least: number): Flag {
  if (ratio === undefined || ratio.mean >= least) return "no";
  return mostOf(ratio) < least ? "sure" : "perhaps";
}

export function verdicts(records: Records, featured: string, busy?: number): Verdict[] {
  const singles = ownOf(allContenders(records.runs)).filter((name) => name !== featured && name !== CONTROL);
  const cells = new Map<string, Round[]>();
  for (const round of countedRounds(records.rounds, busy)) {
    if (round.context === null) continue;
    cells.set(cellKey(round), [...(cells.get(cellKey(round)) ?? []), round]);
  }
  return [...cells.values()].map((rounds) => {
    const { category, temperature, context } = rounds[0]!;
    const best = fastest(rounds, singles);
    const overPlain = ratio(rounds, featured, PLAIN);
    const overBest = best === undefined ? undefined : ratio(rounds, featured, best);
    return {
      ...{ category, temperature, context: context!, rounds: rounds.length, overPlain, best, overBest },
      control: ratio(rounds, CONTROL, PLAIN),
      overBoth: ratioToMean(rounds, featured, [PLAIN, CONTROL]),
      first: spreadOver(rounds, (round) => {
        const [one, plain] = [turnOf(round, featured), turnOf(round, PLAIN)];
        return one && plain && one.firstMs / plain.firstMs;
      }),
      slower: flagOf(overPlain, LEAST_OF_PLAIN),
      behind: flagOf(overBest, LEAST_OF_BEST),
    };
  });
}

const MARKS: Readonly<Record<Flag, string>> = { no: "", perhaps: "?", sure: "!" };

export function gridText(records: Records, wanted?: string, busy?: number): string {
  const featured = featuredMethod(ownOf(allContenders(records.runs)), wanted);
  const cells = verdicts(records, featured, busy).sort(
    (a, b) =>
      a.category.localeCompare(b.category, "en") || a.temperature - b.temperature || a.context - b.context,
  );
  const counted = (of: (cell: Verdict) => Flag) => {
    const flags = cells.map(of).filter((flag) => flag !== "no");
    return [flags.length, flags.filter((flag) => flag === "sure").length] as const;
  };
  const count = (of: (cell: Verdict) => Flag) => {
    const [all, sure] = counted(of);
    return `${all} (${sure} of them surely)`;
  };
  const mean = (of: (cell: Verdict) => Spread | undefined) => {
    const values = cells.map((cell) => of(cell)?.mean).filter((value) => value !== undefined);
    return values.length === 0 ? NOTHING : meanOf(values).toFixed(2);
  };
  const flagText = ({ slower, behind }: Verdict) =>
    [
      ...(slower === "no" ? [] : [`slower${MARKS[slower]}`]),
      ...(behind === "no" ? [] : [`behind${MARKS[behind]}`]),
    ].join(" ");
  return [
    markdownTable([
      [
        "category",
        "temperature",
        "context",
        "prompts",
        `${featured} / ${PLAIN}`,
        `${CONTROL} / ${PLAIN}`,
        `${featured} / both`,
        "best single",
        `${featured} / best`,
        "first token",
        "flags",
      ],
      ...cells.map((cell) => [
        ...[cell.category, String(cell.temperature), String(cell.context), String(cell.rounds)],
        ...[
          errorCell(cell.overPlain),
          errorCell(cell.control),
          errorCell(cell.overBoth),
          cell.best ?? NOTHING,
          errorCell(cell.overBest),
          errorCell(cell.first),
          flagText(cell),
        ],
      ]),
      [
        "mean",
        "",
        "",
        "",
        mean((cell) => cell.overPlain),
        mean((cell) => cell.control),
        mean((cell) => cell.overBoth),
        "",
        mean((cell) => cell.overBest),
        mean((cell) => cell.first),
        "",
      ],
    ]),
    `${cells.length} cells. Below ${LEAST_OF_PLAIN} of ${PLAIN}'s tokens/s: ${count((cell) => cell.slower)}. More than ${((1 - LEAST_OF_BEST) * 100).toFixed(0)} % behind the cell's best single method: ${count((cell) => cell.behind)}. ` +
      "The best of several is partly the luckiest, so cells of few prompts stand worse here than they are. " +
      `*First token*: time to it, over ${PLAIN}'s. \`!\`: surely below the limit (19 of 20 by Student's t), \`?\`: below it.`,
    ...controlText(cells, featured, counted),
    conditionsText(records, countedRounds(records.rounds, busy)),
    DEFINITION,
  ].join("\n\n");
}

/** What the measuring alone makes of a cell; nothing where plain decoding took part but once. */
function controlText(
  cells: readonly Verdict[],
  featured: string,
  counted: (of: (cell: Verdict) => Flag) => readonly [all: number, sure: number],
): string[] {
  const means = cells.flatMap(({ control }) => (control === undefined ? [] : [control.mean]));
  const spread = spreadOf(means);
  if (spread === undefined) return [];
  const deviation = spread.error * Math.sqrt(spread.count);
  const [below, sure] = counted(({ control }) => flagOf(control, LEAST_OF_PLAIN));
  const [both, sureOfBoth] = counted(({ overBoth }) => flagOf(overBoth, LEAST_OF_PLAIN));
  const limit = LEAST_OF_PLAIN - 2 * deviation;
  const far = cells.filter(({ overPlain }) => overPlain !== undefined && overPlain.mean < limit).length;
  return [
    `*${CONTROL}* is ${PLAIN} decoding as one more contender: ${below} of its cells (${sure} surely) are below ${LEAST_OF_PLAIN} too, so that many would be if nothing was slower. Its cells have a ` +
      `standard deviation of ${deviation.toFixed(3)}; ${far} cells of ${featured} are below ${LEAST_OF_PLAIN} by more than twice that. *Both*: over the mean of the two, ${both} cells (${sureOfBoth} surely) are below ${LEAST_OF_PLAIN}.`,
  ];
}
