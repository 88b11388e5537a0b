/**
 * @file From turns to figures. Rates are tokens after the first ones by the time after the first ones, the same for every contender. A ratio is
 * taken within a round; a category's is the mean of its rounds', and the mean over categories is that of theirs.
 */

import { summarize, type Timing } from "../../../src/plan/measure.ts";
import type { Round, Turn } from "./records.ts";

export const PLAIN = "plain";
/** Plain decoding a second time, as one more contender: what its ratio to the first differs from 1 by is the measuring. */
export const CONTROL = "plain again";
/** Answers of fewer tokens behind the first say nothing of a speed, and their rounds count for nobody. */
export const FEWEST = 8;

/** Median and quartiles of rounds, and their mean with its standard error (0 when there is but one round). */
export interface Spread extends Timing {
  readonly mean: number;
  readonly error: number;
  readonly count: number;
}

export function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const mean = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const error = values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1) / values.length);
  return { ...summarize(values), mean, error, count: values.length };
}

/** Student's t by degrees of freedom from 1: a mean is within so many of its standard errors of the truth in 19 of 20 cases. */
const WITHIN = [12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23];

/** How far above its mean the truth may well be; without bound for one value. */
export function mostOf({ mean, error, count }: Spread): number {
  if (count < 2) return Infinity;
  // Beyond ten degrees the series of the normal distribution's 1.96.
  return mean + error * (WITHIN[count - 2] ?? 1.96 + 2.37 / (count - 1) + 2.82 / (count - 1) ** 2);
}

export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Tokens a second once the first has come. */
export function decodingRate({ tokens, first, decodeMs }: Turn): number {
  return (1000 * (tokens - first)) / decodeMs;
}

/** Tokens a second from the request to the end. */
export function wholeRate({ tokens, firstMs, decodeMs }: Turn): number {
  return (1000 * tokens) / (firstMs + decodeMs);
}

export type Rate = typeof decodingRate;

export function turnOf(round: Round, contender: string): Turn | undefined {
  return round.turns.find((turn) => turn.contender === contender);
}

/** Rounds in which everybody's answer was long enough to be timed, and other programs took at most the part `busy` of the machine in each turn. */
export function countedRounds(rounds: readonly Round[], busy = 1): Round[] {
  return rounds.filter(({ turns }) =>
    turns.every(({ tokens, first, others }) => tokens - first >= FEWEST && others <= busy),
  );
}

/** Values by category, in the order in which categories came. */
export function byCategory(rounds: readonly Round[]): Map<string, Round[]> {
  const categories = new Map<string, Round[]>();
  for (const round of rounds)
    categories.set(round.category, [...(categories.get(round.category) ?? []), round]);
  return categories;
}

export function spreadOver(
  rounds: readonly Round[],
  value: (round: Round) => number | undefined,
): Spread | undefined {
  return spreadOf(rounds.map(value).filter((one) => one !== undefined));
}

/** `of` over `to` in each round that has both. */
export function ratio(
  rounds: readonly Round[],
  of: string,
  to: string,
  rate: Rate = decodingRate,
): Spread | undefined {
  return spreadOver(rounds, (round) => {
    const [one, other] = [turnOf(round, of), turnOf(round, to)];
    return one && other && rate(one) / rate(other);
  });
}

/** `of` over the mean of those of `to` that a round has. */
export function ratioToMean(rounds: readonly Round[], of: string, to: readonly string[]): Spread | undefined {
  return spreadOver(rounds, (round) => {
    const one = turnOf(round, of);
    const rates = to.map((name) => turnOf(round, name)).filter((turn) => turn !== undefined);
    return one && rates.length > 0 ? decodingRate(one) / meanOf(rates.map(decodingRate)) : undefined;
  });
}

/** Of the contenders named, the one with the highest mean of `rate` in these rounds. */
export function fastest(
  rounds: readonly Round[],
  names: readonly string[],
  rate: Rate = decodingRate,
): string | undefined {
  const means = names.flatMap((name) => {
    const spread = spreadOver(rounds, (round) => {
      const turn = turnOf(round, name);
      return turn && rate(turn);
    });
    return spread === undefined ? [] : [{ name, mean: spread.mean }];
  });
  return means.sort((a, b) => b.mean - a.mean)[0]?.name;
}

/** Tokens by pass over the model after the prompt, of all rounds together; undefined where passes are not known. */
export function meanAccepted(rounds: readonly Round[], contender: string): number | undefined {
  let [tokens, passes] = [0, 0];
  for (const round of rounds) {
    const turn = turnOf(round, contender);
    if (turn === undefined) continue;
    if (turn.passes === null) return undefined;
    tokens += turn.generated;
    passes += turn.passes;
  }
  return passes === 0 ? undefined : tokens / passes;
}

/** Contenders in the order of the first round that has them. */
export function contendersOf(rounds: readonly Round[]): string[] {
  return [...new Set(rounds.flatMap(({ turns }) => turns.map(({ contender }) => contender)))];
}
