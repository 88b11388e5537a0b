/** @file Straight lines between what is known at some numbers of rows. */

export class Lines {
  /** Ascending, from 1. */
  readonly rows: readonly number[];
  /** At these; who changes them calls {@link draw}. */
  readonly values: Float64Array;
  /** By rows - 1. */
  readonly #table: Float64Array;

  constructor(rows: readonly number[], values: Iterable<number>) {
    this.rows = rows;
    this.values = Float64Array.from(values);
    this.#table = new Float64Array(this.most);
    this.draw();
  }

  /** The most rows that something is known of. */
  get most(): number {
    return this.rows.at(-1)!;
  }

  /** At `rows`, at least 1; what is known goes on as straight as it ends. */
  at(rows: number): number {
    const { most } = this;
    if (rows <= most) return this.#table[rows - 1]!;
    const last = this.#table[most - 1]!;
    const before = this.rows.at(-2) ?? 0;
    return last + ((rows - most) * (last - (this.#table[before - 1] ?? 0))) / (most - before);
  }

  /** Adds to `parts`, by value, how much of `times` times the line at `rows` it accounts for; beyond the last one that is the last. */
  account(rows: number, times: number, parts: Float64Array): void {
    const { values, most } = this;
    const above = this.rows.findIndex((known) => known >= Math.min(rows, most));
    const below = Math.max(0, above - 1);
    if (rows >= most || below === above) {
      parts[above]! += times * this.at(rows);
      return;
    }
    const share = (rows - this.rows[below]!) / (this.rows[above]! - this.rows[below]!);
    parts[above]! += times * share * values[above]!;
    parts[below]! += times * (1 - share) * values[below]!;
  }

  draw(): void {
    for (let i = 0; i < this.rows.length; i++) {
      const to = this.rows[i]!;
      const from = this.rows[i - 1] ?? 0;
      const last = this.values[i]!;
      const first = this.values[i - 1] ?? last;
      for (let rows = from + 1; rows <= to; rows++) {
        this.#table[rows - 1] = first + ((last - first) * (rows - from)) / (to - from);
      }
    }
  }
}
