/**
 * @file How often retrieved tokens are right: by where they were found, how many tokens matched there, and their share of what followed.
 * A frequency is a probability only of texts like those that were read; how far this one is like them, the match tells.
 */

import { Calibration } from "./calibrate.ts";
import type { Learnt } from "./learnt.ts";

/** Where a token was found. */
export const PLACES = ["text", "earlier", "store"] as const;
export type Place = (typeof PLACES)[number];

/** Match lengths that are counted apart, by their smallest. */
const LENGTHS = [1, 2, 3, 4, 5, 7, 10, 16];
const LENGTH_PRIORS = [0.2, 0.45, 0.55, 0.65, 0.7, 0.8, 0.85, 0.9];
/** Of a token that always followed: how often it did, by the least. */
const ALWAYS = [1, 2, 4];
/** Of the others: their shares, by the least, when it was the last to follow and when not. */
const SHARES = [0, 0.2, 0.5];
const SHARE_PRIORS = [0.1, 0.3, 0.6];
const KINDS = ALWAYS.length + 2 * SHARES.length;
/** Of a token that only followed a shorter match than the longest. */
const SHORTER_PRIOR = 0.2;

/** What is known of a retrieved token. */
export interface Evidence {
  readonly place: Place;
  /** Tokens of the longest match, >= 1. */
  readonly matched: number;
  /** Whether the token followed that match, or only a shorter one. */
  readonly longest: boolean;
  /** How often it followed, and how often anything did. */
  readonly count: number;
  readonly total: number;
  /** Whether nothing followed later. */
  readonly last: boolean;
}

/** Class = ((place * 2 + shorter) * lengths + length) * kinds + kind. Texts of one target may share it. */
export class RetrievalOdds extends Calibration {
  readonly learnt: Learnt = { "retrieval.odds": this };

  constructor() {
    const kinds = [...ALWAYS.map(() => 1), ...SHARE_PRIORS, ...SHARE_PRIORS];
    const lengths = LENGTH_PRIORS.flatMap((length) => kinds.map((kind) => length * kind));
    super(PLACES.flatMap(() => [...lengths, ...lengths.map((prior) => prior * SHORTER_PRIOR)]));
  }

  static classOf({ place, matched, longest, count, total, last }: Evidence): number {
    const kind =
      count === total
        ? classIn(ALWAYS, count)
        : ALWAYS.length + classIn(SHARES, count / total) + (last ? SHARES.length : 0);
    const group = 2 * PLACES.indexOf(place) + (longest ? 0 : 1);
    return (group * LENGTHS.length + classIn(LENGTHS, matched)) * KINDS + kind;
  }
}

function classIn(bounds: readonly number[], value: number): number {
  return bounds.findLastIndex((least) => least <= value);
}
