/**
 * @file What a pass costs by its rows and by the tokens that these attend to. Other programs, and other machines on the same host, lengthen
 * passes by half from one second to the next; what choices rest on is how passes compare. So a pass moves the numbers that it is about, each by
 * its part in the pass and by how little is known of it, and, where the pass is well known, all of them.
 */

import { ALONE, type Company, type PassPart } from "../target/company.ts";
import { Lines } from "./lines.ts";

/** Measured milliseconds of a pass by its number of rows; ascending rows, the first entry for 1. */
export type PassCosts = readonly {
  readonly rows: number;
  /** On a text of no length. */
  readonly ms: number;
  /** What each token that the rows attend to adds; default 0. */
  readonly perToken?: number;
}[];

/** Part of an error of a well-known pass that moves all numbers: the machine's. */
const COMMON = 1 / 8;
/** Errors count as at most this part of a time: a pass that another program held up says little. */
const CLIP = 0.5;
/**
 * Nothing makes passes so much shorter as this part of what was expected but the end of a busy time, in which all numbers were too long; by how much
 * they are then made shorter at most, at once.
 */
const BUSY = 0.5;
const SHORTEST = 0.1;
/**
 * Passes that a measured number is worth at the start, and at most; what a token adds is a difference of two times, and known less well. A pass
 * that is known as well as from HALF others moves all by half of COMMON.
 */
const START = { ms: 4, perToken: 1 };
const MOST = 14;
const HALF = 4;
/** What the passes behind a number are still worth one pass later. */
const MEMORY = 1 - 1 / 128;

/** Numbers of one kind by rows, as far as they are known. */
class Known extends Lines {
  /** How many passes each value rests on. */
  readonly weights: Float64Array;
  /** Of the pass that is looked at, the milliseconds that each value accounts for. */
  readonly parts: Float64Array;

  constructor(rows: readonly number[], values: Iterable<number>, weight: number) {
    super(rows, values);
    this.weights = new Float64Array(rows.length).fill(weight);
    this.parts = new Float64Array(rows.length);
  }
}

/** What passes cost, moved by them as they run. */
export class CostCurve {
  /** The most rows measured. */
  readonly most: number;
  /** Of a pass on a text of no length. */
  readonly #ms: Known;
  readonly #perToken: Known;
  /** Both. */
  readonly #kinds: readonly Known[];
  readonly #attended: (length: number) => number;

  /**
   * `attended`: how many of `length` tokens a row attends to, the mean of all layers; default: all. Throws RangeError when the costs are no table
   * of ascending rows from 1, each with milliseconds above 0.
   */
  constructor(costs: PassCosts, attended: (length: number) => number = (length) => length) {
    const bad = costs.findIndex(
      ({ rows, ms, perToken = 0 }, i) =>
        !(ms > 0 && perToken >= 0 && perToken < Infinity && rows > (costs[i - 1]?.rows ?? 0)),
    );
    if (costs[0]?.rows !== 1 || bad >= 0) {
      throw new RangeError(
        `passTimes is ${JSON.stringify(costs)}; give rows ascending from 1, each with ms above 0, and perToken of at least 0`,
      );
    }
    const rows = costs.map((cost) => cost.rows);
    this.#ms = new Known(rows, plausible(costs), START.ms);
    this.#perToken = new Known(
      rows,
      costs.map(({ perToken = 0 }) => perToken),
      START.perToken,
    );
    this.#kinds = [this.#ms, this.#perToken];
    this.#attended = attended;
    this.most = this.#ms.most;
  }

  /** What passes cost by now, at the rows that were measured. */
  get points(): PassCosts {
    const [ms, perToken] = [this.#ms.values, this.#perToken.values];
    return this.#ms.rows.map((rows, i) => ({ rows, ms: ms[i]!, perToken: perToken[i]! }));
  }

  /**
   * Milliseconds of a pass of `rows` rows, at least 1, behind `length` tokens. In company it is the whole pass, but for what the others' tokens
   * add, which is the same however many rows these are.
   */
  ms(rows: number, length = 0, company: Company = ALONE): number {
    return this.#ms.at(company.rows + rows) + this.#attended(length) * this.#perToken.at(rows);
  }

  /**
   * Milliseconds that a text with `rows` rows behind `length` tokens has to answer for in a shared pass: an equal part of the pass that all would
   * have had plain, and of what it takes longer what is due to its drafted rows. Those of all texts are the whole pass.
   */
  share(rows: number, length = 0, { texts, rows: others, length: theirs }: Company = ALONE): number {
    const own = this.#attended(length);
    const all = own + (texts > 0 ? texts * this.#attended(theirs / texts) : 0);
    const alike = this.#ms.at(1 + texts);
    const plain = alike + all * this.#perToken.at(1);
    const drafted = others + rows - 1 - texts;
    const longer = drafted > 0 ? ((this.#ms.at(others + rows) - alike) * (rows - 1)) / drafted : 0;
    return plain / (1 + texts) + longer + own * (this.#perToken.at(rows) - this.#perToken.at(1));
  }

  /** A pass over these parts took `ms`. */
  observe(parts: readonly PassPart[], ms: number): void {
    const [plain, perToken] = [this.#ms.parts.fill(0), this.#perToken.parts.fill(0)];
    let rows = 0;
    for (const part of parts) {
      rows += part.rows;
      this.#perToken.account(part.rows, this.#attended(part.length), perToken);
    }
    this.#ms.account(rows, 1, plain);
    let expected = 0;
    for (let i = 0; i < plain.length; i++) expected += plain[i]! + perToken[i]!;
    if (ms < BUSY * expected) this.#shorten(Math.max(SHORTEST, ms / expected));
    else this.#move(ms, expected);
  }

  /** All numbers were measured while others were busy, and are known no more than one pass tells. */
  #shorten(factor: number): void {
    for (const { values, weights } of this.#kinds) {
      for (let i = 0; i < values.length; i++) {
        values[i] = values[i]! * factor;
        weights[i] = Math.min(1, weights[i]!);
      }
    }
  }

  /** A pass that is made of the numbers' parts took `ms` instead of `expected`. */
  #move(ms: number, expected: number): void {
    const error = Math.max(-CLIP, Math.min(CLIP, (ms - expected) / expected));
    // The gain of a Kalman filter, as if what is known of each number told nothing of the others.
    let weight = 0;
    let variance = 1;
    for (const { parts, weights } of this.#kinds) {
      for (let i = 0; i < parts.length; i++) {
        const part = parts[i]! / expected;
        weight += part * weights[i]!;
        weights[i] = weights[i]! * MEMORY;
        variance += part ** 2 / (weights[i]! + 1);
      }
    }
    const common = 1 + (error * COMMON * weight) / (weight + HALF);
    for (const { parts, weights, values } of this.#kinds) {
      for (let i = 0; i < parts.length; i++) {
        const part = parts[i]! / expected;
        values[i] = values[i]! * common * (1 + (error * part) / (weights[i]! + 1) / variance);
        weights[i] = Math.min(MOST, weights[i]! + part);
      }
    }
  }
}

/**
 * The measured times without what cannot be. They are only ever too long, a busy moment's: no pass takes longer than one of more rows,
 * and none longer than passes of fewer rows that do the same.
 */
export function plausible(costs: readonly Pick<PassCosts[number], "rows" | "ms">[]): number[] {
  const ms = costs.map((cost) => cost.ms);
  for (let i = ms.length - 2; i >= 0; i--) ms[i] = Math.min(ms[i]!, ms[i + 1]!);
  for (let i = 1; i < ms.length; i++) {
    ms[i] = Math.min(ms[i]!, (ms[i - 1]! * costs[i]!.rows) / costs[i - 1]!.rows);
  }
  return ms;
}

/**
 * How many nodes to keep: the n that maximises (tokens expected of n nodes) - rate * ms(n).
 *
 * @param gains expected tokens of each node, root first (1), none larger than the one before
 * @param size number of nodes, at most `cost.most`
 * @param rate tokens per millisecond that time is worth; with the best rate attainable this maximises tokens per time
 * @param length tokens of the text
 * @param company texts that share the pass; all pay the same rate, so rows go where they are worth most
 * @param lone what one row takes behind drafts, by what it takes in plain decoding
 */
export function chooseBudget(
  gains: ArrayLike<number>,
  size: number,
  cost: CostCurve,
  rate: number,
  length = 0,
  company: Company = ALONE,
  lone = 1,
): number {
  let best = 1;
  let bestSurplus = -Infinity;
  let tokens = 0;
  for (let nodes = 1; nodes <= size; nodes++) {
    tokens += gains[nodes - 1]!;
    const surplus = tokens - rate * cost.ms(nodes, length, company) * (nodes === 1 ? lone : 1);
    if (surplus > bestSurplus) {
      bestSurplus = surplus;
      best = nodes;
    }
  }
  return best;
}
