/**
 * @file The budget that pays best: a node is worth verifying when the tokens expected of it are more than plain passing
 * time would give. A first, rough rule: what passes cost is measured and kept fresh, what nodes are worth drafters say.
 */

import type { Prices } from "../structure/structure.ts";

/** Measured milliseconds of a pass by its number of rows; ascending rows, the first entry for 1. */
export type PassCosts = readonly { readonly rows: number; readonly ms: number }[];

/** Part of an error that is corrected at once; passes are noisy. */
const STEP = 1 / 16;
/** Errors count as at most this part of a time: a pass that another program held up says little. */
const CLIP = 0.5;
/** Rows of a pass over which the price of one is taken. */
const USUAL_ROWS = 8;
/** Steps that the running rate remembers. */
const MEMORY = 1 - 1 / 64;

/** What a pass costs by its rows: straight lines between measured points, which passes move as they run. */
export class CostCurve {
  /** The most rows measured. */
  readonly most: number;
  readonly #rows: readonly number[];
  readonly #ms: number[];
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
    this.#ms = costs.map(({ ms }) => ms);
    this.most = this.#rows.at(-1)!;
    this.#table = new Float64Array(this.most);
    this.#draw();
  }

  /** Milliseconds of a pass of `rows` rows, 1 <= rows <= most. */
  ms(rows: number): number {
    return this.#table[rows - 1]!;
  }

  /** A pass of `rows` rows took `ms`. */
  observe(rows: number, ms: number): void {
    const expected = this.ms(rows);
    const error = STEP * Math.max(-CLIP, Math.min(CLIP, (ms - expected) / expected));
    // Half of it moves all points, because most noise is the machine's; half only those of at least as many rows.
    for (let i = 0; i < this.#ms.length; i++) {
      this.#ms[i] = this.#ms[i]! * (1 + (this.#rows[i]! >= rows ? error : error / 2));
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
 * How many nodes to keep: the n that maximises (tokens expected of n nodes) - rate * ms(n).
 *
 * @param gains expected tokens of each node, root first (1), none larger than the one before
 * @param size number of nodes, at most `cost.most`
 * @param rate tokens per millisecond that time is worth; with the best rate attainable this maximises tokens per time
 */
export function chooseBudget(gains: ArrayLike<number>, size: number, cost: CostCurve, rate: number): number {
  let best = 1;
  let bestSurplus = -Infinity;
  let tokens = 0;
  for (let nodes = 1; nodes <= size; nodes++) {
    tokens += gains[nodes - 1]!;
    const surplus = tokens - rate * cost.ms(nodes);
    if (surplus > bestSurplus) {
      bestSurplus = surplus;
      best = nodes;
    }
  }
  return best;
}

/** Chooses a budget for every step of one method, and learns the rate at which its tokens come. */
export class BudgetPlan {
  readonly #cost: CostCurve;
  #tokens = 1;
  #ms: number;

  /** `cost` may be shared by methods: it is the model's. */
  constructor(cost: CostCurve) {
    this.#cost = cost;
    this.#ms = cost.ms(1);
  }

  /** Tokens that a millisecond is worth: what drafting gives of late, and at least what plain decoding would. */
  get #rate(): number {
    return Math.max(this.#tokens / this.#ms, 1 / this.#cost.ms(1));
  }

  /** The largest tree worth growing. */
  get most(): number {
    return this.#cost.most;
  }

  /** Nodes to keep of a tree whose nodes come in falling order of value. */
  choose(values: ArrayLike<number>, size: number): number {
    return chooseBudget(values, size, this.#cost, this.#rate);
  }

  /** What drafts have to be worth. */
  get prices(): Prices {
    const rows = Math.min(USUAL_ROWS, this.most);
    const ms = rows === 1 ? 0 : (this.#cost.ms(rows) - this.#cost.ms(1)) / (rows - 1);
    return { ms: this.#rate, node: this.#rate * ms };
  }

  /** A step gave `tokens` tokens: a pass of `nodes` nodes took `passMs`, and drafting them took `draftMs`. */
  observe(step: { nodes: number; tokens: number; passMs: number; draftMs: number }): void {
    const { nodes, tokens, passMs, draftMs } = step;
    this.#cost.observe(nodes, passMs);
    this.#tokens = this.#tokens * MEMORY + tokens;
    this.#ms = this.#ms * MEMORY + this.#cost.ms(nodes) + draftMs;
  }
}
