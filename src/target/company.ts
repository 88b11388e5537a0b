/** @file What is in a pass: a text's own part of it, and what else there is in one that texts share. */

/** The rows of one text in a pass, and the tokens of its cache that they stand behind. */
export interface PassPart {
  readonly rows: number;
  readonly length: number;
}

/** The other texts of a pass. */
export interface Company {
  readonly texts: number;
  /** Their nodes, together. */
  readonly rows: number;
  /** Tokens in their caches, together. */
  readonly length: number;
}

export const ALONE: Company = { texts: 0, rows: 0, length: 0 };
