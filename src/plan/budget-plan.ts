/**
 * @file Never slower than plain decoding: a node is verified when the tokens expected of it are more than its time would give
 * otherwise, and nothing is drafted at all while drafted text comes more slowly than plain text.
 *
 * What is never tried is never known better. So a small part of the time goes into steps that are not the best as far as is known: a plain
 * one or a generous one while drafts pay, a few drafted ones while they do not. What they lose is counted and stays below that part.
 */

import type { Prices } from "../structure/structure.ts";
import { ALONE, type Company } from "../target/company.ts";
import { type CostCurve, chooseBudget } from "./cost.ts";

/** Rows of a pass over which the price of one is taken. */
const USUAL_ROWS = 8;
/** Drafted steps that the pace remembers, and how many it takes to be believed. */
const MEMORY = 1 - 1 / 64;
const ENOUGH = 24;
/**
 * Drafted steps before that are not counted: code is cold, and drafters have learnt nothing. Of a small model they are over in no time, so
 * as many more do not count until drafting has taken so many milliseconds.
 */
const WARM_UP = 24;
const WARM_UP_MS = 20;
/** What the pace is before anything is known of it, and for how many drafted steps that counts: nobody gives up over a few bad ones. */
const PRIOR = 1.3;
const PRIOR_STEPS = 24;
/** Drafted steps of a trial while drafting is off. In the first one, drafters read what they have missed. */
const ROUND = 8;
/** How many steps of a text the pace of all others counts as, what its own are worth one later, and how many decide. */
const TEXT_PRIOR = 16;
const TEXT_MEMORY = 1 - 1 / 32;
const TEXT_ENOUGH = ROUND - 1;
/** Drafts that take less than this part of a plain pass go on: they give up by the step what is not worth a row. */
const CHEAP = 0.05;
/** Drafting stops below this pace, and starts again above that. */
const STOP = 0.99;
const START = 1.01;
/** The part of the time that trials may lose, and the most that is saved up for them, in plain passes. */
const TRIALS = 1 / 128;
const SAVED = 4;
/** What trials may lose more for every text that begins while drafts do not pay in others. */
const OF_TEXT = 1;
/** What a trial loses at least, however lucky it was, so that luck is not spent on more of them. */
const LEAST = 0.1;
/** A generous trial takes nodes and levels at this part of their price. */
const GENEROUS = 0.5;
/** One draft counts as at most this many plain passes. */
const LONGEST_DRAFT = 8;

/** What a step is to do. */
export interface Turn {
  readonly kind: "drafted" | "plain";
  /** Why it is not what seems best. */
  readonly trial: boolean;
  /** What drafts have to be worth. */
  readonly prices: Prices;
  /** Tokens of the text before it. */
  readonly length: number;
  /** Who shares the pass, as far as is known before it. */
  readonly company: Company;
}

/** What a step did. */
export interface Spent {
  readonly nodes: number;
  /** Tokens that it gave. */
  readonly tokens: number;
  /** Milliseconds of the pass, verification included. */
  readonly passMs: number;
  /** Milliseconds of drafting and of learning. */
  readonly draftMs: number;
  /** Who shared the pass; default: nobody. */
  readonly company?: Company | undefined;
}

/** What drafted steps gave: tokens, and time in plain passes, both fading. */
class Pace {
  #tokens: number;
  #time: number;
  readonly #memory: number;

  /** At first it is `value`, as if from so many `steps`, each as long as a plain pass. */
  constructor(value: number, steps: number, memory: number) {
    this.#tokens = value * steps;
    this.#time = steps;
    this.#memory = memory;
  }

  get value(): number {
    return this.#tokens / this.#time;
  }

  add(tokens: number, time: number): void {
    this.#tokens = this.#tokens * this.#memory + tokens;
    this.#time = this.#time * this.#memory + time;
  }
}

/** What all texts of a method know of its drafts. */
class Experience {
  readonly pace = new Pace(PRIOR, PRIOR_STEPS, MEMORY);
  /** In plain passes. */
  draftTime = 0;
  /** Drafted steps that count, from -2 * WARM_UP on. */
  steps = -2 * WARM_UP;
  /** Milliseconds of drafting that do not count. */
  #coldMs = 0;
  /** What trials may still lose, in plain passes. */
  allowance = 0;

  /** Whether the pace is believed. */
  get known(): boolean {
    return this.steps >= ENOUGH;
  }

  /** Tokens of drafted steps in the time of a plain pass; 1 until that is believed. */
  get value(): number {
    return this.known ? this.pace.value : 1;
  }

  /** A drafted step; false: it comes too early to count. */
  add(tokens: number, time: number, draft: number, draftMs: number): boolean {
    if (this.#isCold(draftMs)) return false;
    this.pace.add(tokens, time);
    this.draftTime += (draft - this.draftTime) * (1 - MEMORY);
    return true;
  }

  #isCold(draftMs: number): boolean {
    this.#coldMs += draftMs;
    this.steps++;
    if (this.steps >= -WARM_UP && this.steps < 0 && this.#coldMs >= WARM_UP_MS) this.steps = 0;
    return this.steps <= 0;
  }
}

/** Plans the steps of one text, by what it and others of its method have given. */
export class BudgetPlan {
  readonly #cost: CostCurve;
  readonly #all: Experience;
  /** Of this text alone; it begins as the method's. */
  readonly #pace: Pace;
  #steps = 0;
  #off: boolean;
  /** Drafted steps left in a trial while drafting is off. */
  #left = 0;
  /** Whether the latest trial was a generous one. */
  #generous = false;

  /** `cost` may be shared by methods: it is the model's. `before`: the plan of another text of the method. */
  constructor(cost: CostCurve, before?: BudgetPlan) {
    this.#cost = cost;
    this.#all = before ? before.#all : new Experience();
    this.#pace = new Pace(this.#all.pace.value, TEXT_PRIOR, TEXT_MEMORY);
    this.#off = this.#isOff(this.#all.value, STOP);
    // Texts differ: where drafts did not pay in others, they are tried in this one.
    if (!this.#off) return;
    this.#all.allowance = Math.min(SAVED, this.#all.allowance + OF_TEXT);
    if (this.#all.allowance > 0) this.#left = ROUND;
  }

  /** Whether the next step drafts nothing, and those behind it. */
  get rests(): boolean {
    return this.#off && this.#left === 0;
  }

  /** Why nothing is drafted; undefined while drafts pay. */
  get off(): string | undefined {
    if (!this.#off) return undefined;
    return `off: drafts gave ${this.#pace.value.toFixed(2)} tokens in the time of a plain one`;
  }

  /** What drafts have to be worth behind `length` tokens, in such company: at least what plain decoding would give in their time. */
  prices(length = 0, company: Company = ALONE): Prices {
    const cost = this.#cost;
    const rows = Math.min(USUAL_ROWS, cost.most);
    const longer = cost.ms(rows, length, company) - cost.ms(1, length, company);
    const rate = Math.max(1, this.#all.value) / cost.share(1, length, company);
    return { ms: rate, node: rows === 1 ? 0 : (rate * longer) / (rows - 1) };
  }

  /** The next step, of a text of `length` tokens. */
  next(length = 0, company: Company = ALONE): Turn {
    const prices = this.prices(length, company);
    const same = { length, company };
    const begins = this.#left === 0 && this.#all.allowance > 0 && this.#all.known;
    if (begins) this.#generous = !this.#generous;
    const generous = { ms: prices.ms * GENEROUS, node: prices.node * GENEROUS };
    if (this.#off) {
      if (begins) this.#left = ROUND;
      if (this.#left === 0) return { kind: "plain", trial: false, prices, ...same };
      return { kind: "drafted", trial: true, prices: this.#generous ? generous : prices, ...same };
    }
    if (!begins) return { kind: "drafted", trial: false, prices, ...same };
    return { kind: this.#generous ? "drafted" : "plain", trial: true, prices: generous, ...same };
  }

  /** Nodes to keep of a tree whose nodes come in falling order of value. */
  choose({ prices, length, company }: Turn, values: ArrayLike<number>, size: number): number {
    return chooseBudget(values, size, this.#cost, prices.ms, length, company);
  }

  /** A step did as `turn` said. */
  observe(turn: Turn, { nodes, tokens, passMs, draftMs, company = ALONE }: Spent): void {
    // Whoever runs shared passes measures them.
    if (company.texts === 0) this.#cost.observe([{ rows: nodes, length: turn.length }], passMs);
    const one = this.#cost.share(1, turn.length, company);
    // Texts that share passes draft at the same time, too.
    const draft = Math.min(LONGEST_DRAFT, draftMs / (1 + company.texts) / one);
    const time = this.#cost.share(nodes, turn.length, company) / one + draft;
    const all = this.#all;
    all.allowance = Math.min(SAVED, all.allowance + time * TRIALS);
    if (turn.trial) all.allowance -= this.#off ? time - tokens : Math.max(LEAST, time - tokens / all.value);
    if (turn.kind === "plain") return;
    const catchesUp = this.#off && this.#left === ROUND;
    if (this.#left > 0) this.#left--;
    if (catchesUp || (turn.trial && !this.#off)) return;
    if (!all.add(tokens, time, draft, draftMs)) return;
    this.#pace.add(tokens, time);
    this.#steps++;
    if (this.#steps >= TEXT_ENOUGH) this.#off = this.#isOff(this.#pace.value, this.#off ? START : STOP);
    if (!this.#off) this.#left = 0;
  }

  #isOff(pace: number, least: number): boolean {
    return this.#all.known && this.#all.draftTime > CHEAP && pace < least;
  }
}
