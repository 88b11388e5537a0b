/** @file What else is in a pass that texts share. */

/** The other texts of a pass. */
export interface Company {
  readonly texts: number;
  /** Their nodes, together. */
  readonly rows: number;
}

export const ALONE: Company = { texts: 0, rows: 0 };
