/**
 * @file What a pass costs by its rows. Other programs, and other machines on the same host, lengthen passes by half from one second to the
 * next; what choices rest on is how passes of different rows compare. So a pass moves its own number of rows and, where that is well
 * known, all of them.
 */

import { ALONE, type Company } from "../target/company.ts";

/** Measured milliseconds of a pass by its number of rows; ascending rows, the first entry for 1. */
export type PassCosts = readonly { readonly rows: number; readonly ms: number }[];

/** Part of an error of a well-known point that moves all points: the machine's. */
const COMMON = 1 / 8;
/** Errors count as at most this part of a time: a pass that another program held up says little. */
const CLIP = 0.5;
/** Passes that a measured point is worth at the start, and at most. A point that weighs as much as HALF passes moves all by half of COMMON. */
const START = 4;
const MOST = 14;
const HALF = 4;
/** What a point's passes are still worth one pass later. */
const MEMORY = 1 - 1 / 128;

/** Straight lines between measured points, which passes move as they run. */
export class CostCurve {
  /** The most rows measured. */
  readonly most: number;
  readonly #rows: readonly number[];
  readonly #ms: number[];
  /** How many passes each point rests on. */
  readonly #weights: number[];
  /** By rows - 1. */
  readonly #table: Float64Array;

  /** Throws RangeError when the costs are no table of ascending rows from 1, each with milliseconds above 0. */
  constructor(costs: PassCosts) {
    const bad = costs.findIndex(({ rows, ms }, i) => !(ms > 0) || !(rows > (costs[i - 1]?.rows ?? 0)));
    if (costs[0]?.rows !== 1 || bad >= 0) {
      throw new RangeError(
        `passTimes is ${JSON.stringify(costs)}; give rows ascending from 1, each with ms above 0`,
      );
    }
    this.#rows = costs.map(({ rows }) => rows);
    this.#ms = plausible(costs);
    this.#weights = costs.map(() => START);
    this.most = this.#rows.at(-1)!;
    this.#table = new Float64Array(this.most);
    this.#draw();
  }

  /** What passes cost by now, at the rows that were measured. */
  get points(): PassCosts {
    return this.#rows.map((rows, i) => ({ rows, ms: this.#ms[i]! }));
  }

  /** Milliseconds of a pass of `rows` rows, at least 1; what was measured goes on as straight as it ends. */
  ms(rows: number): number {
    const { most } = this;
    if (rows <= most) return this.#table[rows - 1]!;
    const last = this.#table[most - 1]!;
    const before = this.#rows.at(-2) ?? 0;
    return last + ((rows - most) * (last - (this.#table[before - 1] ?? 0))) / (most - before);
  }

  /**
   * Milliseconds that a text with `rows` rows in a shared pass has to answer for: an equal part of the pass that all would have had
   * plain, and of what it takes longer the part of its drafted rows. Those of all texts are the whole pass.
   */
  share(rows: number, { texts, rows: others } = ALONE): number {
    const plain = this.ms(1 + texts);
    const drafted = others + rows - 1 - texts;
    const longer = drafted > 0 ? ((this.ms(others + rows) - plain) * (rows - 1)) / drafted : 0;
    return plain / (1 + texts) + longer;
  }

  /** A pass of `rows` rows took `ms`. */
  observe(rows: number, ms: number): void {
    // One of more rows than any that was measured tells of the largest of these.
    if (rows > this.most) {
      this.observe(this.most, (ms * this.ms(this.most)) / this.ms(rows));
      return;
    }
    const expected = this.ms(rows);
    const error = Math.max(-CLIP, Math.min(CLIP, (ms - expected) / expected));
    const above = this.#rows.findIndex((measured) => measured >= rows);
    const below = Math.max(0, above - 1);
    const span = this.#rows[above]! - this.#rows[below]!;
    // Both points around it have a share in it, the nearer one the larger.
    const share = (i: number) => (span === 0 ? 1 : 1 - Math.abs(this.#rows[i]! - rows) / span);
    const points = below === above ? [above] : [below, above];
    const weight = points.reduce((sum, i) => sum + share(i) * this.#weights[i]!, 0);
    const common = 1 + (error * COMMON * weight) / (weight + HALF);
    for (let i = 0; i < this.#ms.length; i++) {
      this.#ms[i] = this.#ms[i]! * common;
      this.#weights[i] = this.#weights[i]! * MEMORY;
    }
    for (const i of points) {
      this.#ms[i] = this.#ms[i]! * (1 + (error * share(i)) / (this.#weights[i]! + 2));
      this.#weights[i] = Math.min(MOST, this.#weights[i]! + share(i));
    }
    this.#draw();
  }

  #draw(): void {
    for (let i = 0; i < this.#rows.length; i++) {
      const to = this.#rows[i]!;
      const from = this.#rows[i - 1] ?? 0;
      const toMs = this.#ms[i]!;
      const fromMs = this.#ms[i - 1] ?? toMs;
      for (let rows = from + 1; rows <= to; rows++) {
        this.#table[rows - 1] = fromMs + ((toMs - fromMs) * (rows - from)) / (to - from);
      }
    }
  }
}

/**
 * The measured times without what cannot be. They are only ever too long, a busy moment's: no pass takes longer than one of more rows,
 * and none longer than passes of fewer rows that do the same.
 */
function plausible(costs: PassCosts): number[] {
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
 * @param company texts that share the pass; all pay the same rate, so rows go where they are worth most
 */
export function chooseBudget(
  gains: ArrayLike<number>,
  size: number,
  cost: CostCurve,
  rate: number,
  company: Company = ALONE,
): number {
  let best = 1;
  let bestSurplus = -Infinity;
  let tokens = 0;
  for (let nodes = 1; nodes <= size; nodes++) {
    tokens += gains[nodes - 1]!;
    const surplus = tokens - rate * cost.ms(company.rows + nodes);
    if (surplus > bestSurplus) {
      bestSurplus = surplus;
      best = nodes;
    }
  }
  return best;
}
