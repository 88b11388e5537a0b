/** @file The report of `bench:compare`: one table to show, and the tables behind it. */

import { allContenders, conditionsText, DEFINITION, ownOf, peersOf } from "./conditions.ts";
import {
  byCategory,
  countedRounds,
  decodingRate,
  fastest,
  meanAccepted,
  meanOf,
  PLAIN,
  type Rate,
  ratio,
  type Spread,
  spreadOver,
  turnOf,
  wholeRate,
} from "./figures.ts";
import { figure, markdownTable, meanCell, medianCell } from "./markdown.ts";
import type { Records, Round } from "./records.ts";

export const PEER = "node-llama-cpp";
/** Categories whose answers copy much of their prompts. */
const COPYING = ["summarization", "rag", "code-edit"];

/** The method that is compared with others: "auto" where it took part, else the default of before, else the first that drafts. */
export function featuredMethod(own: readonly string[], wanted?: string): string {
  if (wanted !== undefined && !own.includes(wanted)) {
    throw new RangeError(`--featured is ${wanted}; the methods that took part are ${own.join(", ")}`);
  }
  const usual = ["auto", "recycle-lookup"].find((name) => own.includes(name));
  return wanted ?? usual ?? own.find((name) => name !== PLAIN) ?? PLAIN;
}

/** A category's figures of what the first table and the chart show. */
export interface Headline {
  readonly category: string;
  readonly prompts: number;
  /** node-llama-cpp's mode with the most tokens a second in this category; undefined when it took no part. */
  readonly best: string | undefined;
  readonly rates: {
    readonly best: Spread | undefined;
    readonly plain: Spread | undefined;
    readonly featured: Spread | undefined;
  };
  readonly overPlain: Spread | undefined;
  readonly overBest: Spread | undefined;
  /** The same with the prompt's time in it, over node-llama-cpp's best mode by that. */
  readonly wholeOverBest: Spread | undefined;
  readonly accepted: number | undefined;
}

export function headlines(records: Records, featured: string, busy?: number): Headline[] {
  const peers = peersOf(allContenders(records.runs), PEER);
  return [...byCategory(countedRounds(records.rounds, busy))].map(([category, rounds]) => {
    const best = fastest(rounds, peers);
    const bestWhole = fastest(rounds, peers, wholeRate);
    return {
      category,
      prompts: rounds.length,
      best,
      rates: {
        best: best === undefined ? undefined : rateOf(rounds, best),
        plain: rateOf(rounds, PLAIN),
        featured: rateOf(rounds, featured),
      },
      overPlain: ratio(rounds, featured, PLAIN),
      overBest: best === undefined ? undefined : ratio(rounds, featured, best),
      wholeOverBest: bestWhole === undefined ? undefined : ratio(rounds, featured, bestWhole, wholeRate),
      accepted: meanAccepted(rounds, featured),
    };
  });
}

/** `wanted`: the method to feature; `busy`: the part of the machine that others may have taken in a turn that counts. */
export function comparisonText(records: Records, wanted?: string, busy?: number): string {
  const contenders = allContenders(records.runs);
  const own = ownOf(contenders);
  const featured = featuredMethod(own, wanted);
  const names = contenders.map(({ name }) => name);
  const counted = countedRounds(records.rounds, busy);
  const categories = byCategory(counted);
  const peers = peersOf(contenders, PEER);
  const cells = (title: string, text: (rounds: readonly Round[], name: string) => string, mean?: Mean) =>
    section(title, [
      ["category", ...names],
      ...[...categories].map(([category, rounds]) => [category, ...names.map((name) => text(rounds, name))]),
      ...(mean === undefined
        ? []
        : [["mean", ...names.map((name) => meanOver(categories.values(), (rounds) => mean(rounds, name)))]]),
    ]);
  const over = (title: string, of: (rounds: readonly Round[], name: string) => Spread | undefined) =>
    cells(
      title,
      (rounds, name) => meanCell(of(rounds, name)),
      (rounds, name) => of(rounds, name)?.mean,
    );
  const overBest = (rate: Rate) => (rounds: readonly Round[], name: string) => {
    const best = fastest(rounds, peers, rate);
    return best === undefined ? undefined : ratio(rounds, name, best, rate);
  };
  return [
    headlineTable(headlines(records, featured, busy), featured),
    conditionsText(records, counted),
    DEFINITION,
    cells("Tokens/s", (rounds, name) => medianCell(rateOf(rounds, name))),
    over(`Tokens/s over Espalier's ${PLAIN}`, (rounds, name) => ratio(rounds, name, PLAIN)),
    ...(peers.length === 0
      ? []
      : [
          over(`Tokens/s over ${PEER}'s best mode of the category`, overBest(decodingRate)),
          over(`The same from the request on, prompts included`, overBest(wholeRate)),
        ]),
    cells("MAT", (rounds, name) => figure(meanAccepted(rounds, name)), meanAccepted),
    cells("Milliseconds to the first token", (rounds, name) =>
      medianCell(spreadOver(rounds, (round) => turnOf(round, name)?.firstMs)),
    ),
  ].join("\n\n");
}

type Mean = (rounds: readonly Round[], name: string) => number | undefined;

function headlineTable(lines: readonly Headline[], featured: string): string {
  const mean = (some: readonly Headline[], of: (line: Headline) => number | undefined) => {
    const values = some.map(of).filter((value) => value !== undefined);
    return values.length === 0 ? figure(undefined) : meanOf(values).toFixed(2);
  };
  const ratios = [
    (line: Headline) => line.overPlain,
    (line: Headline) => line.overBest,
    (line: Headline) => line.wholeOverBest,
  ];
  const copying = lines.filter(({ category }) => COPYING.includes(category));
  const sum = (title: string, some: readonly Headline[]) => [
    title,
    String(some.reduce((total, { prompts }) => total + prompts, 0)),
    ...["", "", ""],
    ...ratios.map((of) => mean(some, (line) => of(line)?.mean)),
    mean(some, ({ accepted }) => accepted),
  ];
  return markdownTable([
    [
      "category",
      "prompts",
      `${PEER}, its best`,
      `Espalier, ${PLAIN}`,
      `Espalier, ${featured}`,
      `${featured} / ${PLAIN}`,
      `${featured} / ${PEER}`,
      `${featured} / ${PEER}, prompts included`,
      `MAT, ${featured}`,
    ],
    ...lines.map((line) => [
      line.category,
      String(line.prompts),
      line.best === undefined ? figure(undefined) : `${medianCell(line.rates.best)} ${modeOf(line.best)}`,
      medianCell(line.rates.plain),
      medianCell(line.rates.featured),
      ...ratios.map((of) => meanCell(of(line))),
      figure(line.accepted),
    ]),
    sum("mean", lines),
    ...(copying.length > 1 && copying.length < lines.length
      ? [sum(`mean of ${copying.map(({ category }) => category).join(", ")}`, copying)]
      : []),
  ]);
}

/** "node-llama-cpp, lookup" is short for its mode "lookup". */
function modeOf(contender: string): string {
  return contender.slice(PEER.length + 2);
}

function rateOf(rounds: readonly Round[], name: string): Spread | undefined {
  return spreadOver(rounds, (round) => {
    const turn = turnOf(round, name);
    return turn && decodingRate(turn);
  });
}

/** Over the categories that have the figure. */
function meanOver(
  categories: Iterable<readonly Round[]>,
  of: (rounds: readonly Round[]) => number | undefined,
): string {
  const values = [...categories].map(of).filter((value) => value !== undefined);
  return values.length === 0 ? figure(undefined) : meanOf(values).toFixed(2);
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  return `**${title}**\n\n${markdownTable(rows)}`;
}
