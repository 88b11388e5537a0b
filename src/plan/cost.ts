/**
 * @file The budget that pays best: a node is worth verifying when the tokens expected of it are more than plain passing
 * time would give. A first, rough rule: what passes cost is measured once, what nodes are worth is what drafters say.
 */

/** Measured milliseconds of a pass by its number of rows; ascending rows, the first entry for 1. */
export type PassCosts = readonly { readonly rows: number; readonly ms: number }[];

/** Steps that the running rate remembers. */
const MEMORY = 1 - 1 / 64;

/** Milliseconds of a pass of `rows` rows: between the measured ones on a straight line, beyond the last on its slope. */
export function passMs(times: PassCosts, rows: number): number {
  let above = times.findIndex((time) => time.rows >= rows);
  if (above < 0) above = times.length - 1;
  const high = times[above]!;
  const low = times[above - 1];
  if (low === undefined) return high.ms;
  return low.ms + ((high.ms - low.ms) * (rows - low.rows)) / (high.rows - low.rows);
}

/**
 * How many nodes to keep: the n that maximises (tokens expected of n nodes) - rate * t(n).
 *
 * @param gains expected tokens of each node, root first (1), none larger than the one before
 * @param cost milliseconds of a pass by rows - 1, at least as long
 * @param rate tokens per millisecond that time is worth; with the best rate attainable this maximises tokens per time
 */
export function chooseBudget(
  gains: ArrayLike<number>,
  size: number,
  cost: Float64Array,
  rate: number,
): number {
  let best = 1;
  let bestSurplus = -Infinity;
  let tokens = 0;
  for (let nodes = 1; nodes <= size; nodes++) {
    tokens += gains[nodes - 1]!;
    const surplus = tokens - rate * cost[nodes - 1]!;
    if (surplus > bestSurplus) {
      bestSurplus = surplus;
      best = nodes;
    }
  }
  return best;
}

/** Chooses a budget for every step of one method, and learns the rate at which its tokens come. */
export class BudgetPlan {
  /** The largest tree worth growing: the largest whose pass was measured. */
  readonly most: number;
  readonly #cost: Float64Array;
  #tokens = 1;
  #ms: number;

  /** Throws RangeError when the times are no ascending table that starts with 1 row. */
  constructor(times: PassCosts) {
    const bad = times.findIndex(({ rows, ms }, i) => !(ms > 0) || !(rows > (times[i - 1]?.rows ?? 0)));
    if (times[0]?.rows !== 1 || bad >= 0) {
      throw new RangeError(
        `passTimes is ${JSON.stringify(times)}; give rows ascending from 1, each with ms above 0`,
      );
    }
    this.most = times.at(-1)!.rows;
    this.#cost = Float64Array.from({ length: this.most }, (_, i) => passMs(times, i + 1));
    this.#ms = times[0].ms;
  }

  /** Nodes to keep of a tree whose nodes come in falling order of value. */
  choose(values: ArrayLike<number>, size: number): number {
    return chooseBudget(values, size, this.#cost, this.#tokens / this.#ms);
  }

  /** A pass of `nodes` nodes gave `tokens` tokens. */
  observe(nodes: number, tokens: number): void {
    this.#tokens = this.#tokens * MEMORY + tokens;
    this.#ms = this.#ms * MEMORY + this.#cost[nodes - 1]!;
  }
}
