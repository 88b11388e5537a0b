/** @file Straight lines between what is known at some numbers of rows. */

export class Lines {
  /** Ascending, from 1. */
  readonly rows: readonly number[];
  /** At these. */
  readonly values: Float64Array;
  /** The most rows that something is known of. */
  readonly most: number;
  /** By rows - 1: which value is the next that is known, and its part of the line there; the rest is the one's before it. */
  readonly #above: Int32Array;
  readonly #shares: Float64Array;

  constructor(rows: readonly number[], values: Iterable<number>) {
    this.rows = rows;
    this.values = Float64Array.from(values);
    this.most = rows.at(-1)!;
    this.#above = new Int32Array(this.most);
    this.#shares = new Float64Array(this.most).fill(1);
    for (let i = 1; i < rows.length; i++) {
      const [from, to] = [rows[i - 1]!, rows[i]!];
      for (let at = from + 1; at <= to; at++) {
        this.#above[at - 1] = i;
        this.#shares[at - 1] = (at - from) / (to - from);
      }
    }
  }

  /** At `rows`, at least 1; what is known goes on as straight as it ends. */
  at(rows: number): number {
    const { most, values } = this;
    if (rows <= most) {
      const above = this.#above[rows - 1]!;
      const first = values[above - 1] ?? 0;
      return first + (values[above]! - first) * this.#shares[rows - 1]!;
    }
    const last = values.at(-1)!;
    const before = this.rows.at(-2) ?? 0;
    return last + ((rows - most) * (last - (values.at(-2) ?? 0))) / (most - before);
  }

  /** Adds to `parts`, by value, how much of `times` times the line at `rows` it accounts for; beyond the last one that is the last. */
  account(rows: number, times: number, parts: Float64Array): void {
    const { most, values } = this;
    const above = this.#above[Math.min(rows, most) - 1]!;
    if (rows >= most) {
      parts[above]! += times * this.at(rows);
      return;
    }
    const share = this.#shares[rows - 1]!;
    parts[above]! += times * share * values[above]!;
    if (share < 1) parts[above - 1]! += times * (1 - share) * values[above - 1]!;
  }
}
