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
/** Of a token that always followed: how often it did, by the least. */
const ALWAYS = [1, 2, 4];
/** Of the others: their shares, by the least, when it was the last to follow and when not. */
const SHARES = [0, 0.2, 0.5];
const KINDS = ALWAYS.length + 2 * SHARES.length;

/** First guesses, as counted on texts of our own (docs/log.md): what followed once, by the length of the match. */
const ONCE: Readonly<Record<Place, readonly number[]>> = {
  text: [0.25, 0.55, 0.7, 0.75, 0.84, 0.88, 0.93, 0.96],
  earlier: [0.1, 0.18, 0.3, 0.35, 0.45, 0.55, 0.65, 0.9],
  store: [0.1, 0.18, 0.3, 0.35, 0.45, 0.55, 0.65, 0.9],
};
/** What is left of its doubts when it followed as often as {@link ALWAYS} has it. */
const DOUBTS = [1, 0.55, 0.35];
/** When other tokens followed too the length tells little: not last, and last. */
const AMONG_OTHERS: Readonly<Record<Place, readonly number[]>> = {
  text: [0.05, 0.1, 0.24, 0.08, 0.15, 0.28],
  earlier: [0.02, 0.05, 0.1, 0.04, 0.07, 0.18],
  store: [0.02, 0.05, 0.1, 0.04, 0.07, 0.18],
};
/** Of a token that only followed a shorter match than the longest. */
const SHORTER = 0.3;

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
    super(
      PLACES.flatMap((place) => {
        const longest = ONCE[place].flatMap((once) => [
          ...DOUBTS.map((doubt) => 1 - (1 - once) * doubt),
          ...AMONG_OTHERS[place],
        ]);
        return [...longest, ...longest.map((prior) => prior * SHORTER)];
      }),
    );
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
  let index = bounds.length - 1;
  while (index >= 0 && !(bounds[index]! <= value)) index--;
  return index;
}
