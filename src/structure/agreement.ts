/**
 * @file How likely a node is, given what a model says of it and what tables say, counted as it runs. Both may name it, or one of them while
 * the other names others at the same place, or was not asked there.
 */

import { Calibration } from "../draft/calibrate.ts";
import type { Learnt } from "../draft/learnt.ts";

/** What one side says of a node: a probability, or why it says none. */
export type Opinion = number | "other tokens" | "nothing";

/** Probabilities that are counted apart, by the least. */
const BOUNDS = [0, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.93, 0.97];
const MIDDLES = [0.02, 0.1, 0.22, 0.4, 0.6, 0.78, 0.89, 0.95, 0.985];
const OPINIONS: readonly Opinion[] = [...MIDDLES, "other tokens", "nothing"];
/** What a model's probability is still worth when tables name other tokens. */
const CONTRADICTED = 0.5;
const MOST = 0.99;

/** Class = opinion of the model * opinions + opinion of the tables. */
export class AgreementOdds extends Calibration {
  readonly learnt: Learnt = { "agreement.odds": this };

  constructor() {
    super(OPINIONS.flatMap((model) => OPINIONS.map((tables) => prior(model, tables))));
  }

  static classOf(model: Opinion, tables: Opinion): number {
    return placeOf(model) * OPINIONS.length + placeOf(tables);
  }
}

function placeOf(opinion: Opinion): number {
  if (typeof opinion === "number") return BOUNDS.findLastIndex((least) => least <= opinion);
  return OPINIONS.indexOf(opinion);
}

function prior(model: Opinion, tables: Opinion): number {
  if (typeof model === "number" && typeof tables === "number")
    return Math.min(MOST, 1 - (1 - model) * (1 - tables));
  if (typeof model === "number") return tables === "other tokens" ? model * CONTRADICTED : model;
  if (typeof tables !== "number") return 1 - MOST;
  // Long matches hold against a model, short ones do not.
  return model === "other tokens" ? tables ** 2 : tables;
}
