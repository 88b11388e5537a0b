/** @file What a pass costs by its number of rows, and the budget that pays best. */

/** Milliseconds of a pass, by rows; sorted by rows, the first entry for 1. */
export type PassTimes = readonly { readonly rows: number; readonly ms: number }[];
