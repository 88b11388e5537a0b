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
import { Experience, Pace, SAVED } from "./experience.ts";
import { Luck } from "./luck.ts";

/** Rows of a pass over which the price of one is taken. */
const USUAL_ROWS = 8;
/**
 * Drafted steps of a trial while drafting is off, unless they have lost so many plain passes before: on a small model one step may. In the first one,
 * drafters read what they have missed.
 */
const ROUND = 8;
const ROUND_LOSS = 3;
/**
 * Plain steps of a trial while drafts pay. The first, behind a draft, does not tell what plain decoding takes: another draft has begun that nobody needs, and the
 * caches are the drafters'. A small model's pass takes 0.33 ms there, 0.24 ms in the next step, and 0.23 ms later.
 */
const PLAIN_RUN = 3;
/** How many plain passes of a text the pace of all others counts as, what its own steps are worth one later, and after how many passes they decide. */
const TEXT_PRIOR = 16;
const NOTHING = 1e-9;
const TEXT_MEMORY = 1 - 1 / 32;
const TEXT_ENOUGH = 7;
/** Drafts that take less than this part of a plain pass go on: they give up by the step what is not worth a row. */
const CHEAP = 0.05;
/** Drafting stops below this pace, and starts again above that. */
const STOP = 0.99;
const START = 1.01;
/** The part of the time that trials may lose. */
const TRIALS = 1 / 128;
/** So many tokens in a row that came as before are worth a trial, as long as trials have lost no more than is saved up for them at most. */
const REPEATED = 6;
/** Until their pace is known, drafts that seem to pay when code is warm may lose so much before that. */
const INVESTED = 64;
/** After so many plain passes a text's drafts are said to pay or not until then. */
const FEW = 4;
/** So much has to be there for a trial in the middle of a text that does not draft: texts that begin come first. */
const MIDDLE = 2;
/** What trials may lose more for every text that begins while drafts do not pay in others, or are not known to; half of it after each that failed, down to LEAST_OF_TEXT. */
const OF_TEXT = 1;
const LEAST_OF_TEXT = 1 / 4;
/** What a trial loses at least, however lucky it was, so that luck is not spent on more of them. */
const LEAST = 0.1;
/** A generous trial takes nodes and levels at this part of their price. */
const GENEROUS = 0.5;
/** For the pace, one draft counts as at most this many plain passes. */
const LONGEST_DRAFT = 8;
/**
 * Milliseconds of a plain pass below which cold code, sleeping threads and cold caches count: all that a draft takes, up to LONGEST_TRIAL passes, and a
 * pass as long as it took, up to LONGEST_PASS times what was expected. Where passes are longer that is the noise of the machine.
 */
const SHORT_PASS_MS = 0.5;
const LONGEST_TRIAL = 32;
const LONGEST_PASS = 3;

/** Of so many plain passes while nothing is drafted, one is measured. */
const SOME = 8;

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
  /** Tokens that its tree was expected to give; default: what it gave. */
  readonly expected?: number;
  /** Milliseconds of the pass, verification included. */
  readonly passMs: number;
  /** Milliseconds of drafting and of learning. */
  readonly draftMs: number;
  /** Whether it drafted as others do not, so that {@link draftMs} tells nothing of them. Default: no. */
  readonly unusual?: boolean;
  /** Who shared the pass; default: nobody. */
  readonly company?: Company | undefined;
}

/** Plans the steps of one text, by what it and others of its method have given. */
export class BudgetPlan {
  readonly #cost: CostCurve;
  readonly #all: Experience;
  /** Of this text alone; it begins as the method's, where that is known. */
  readonly #pace: Pace;
  /** The same, as far as it is guessed when nothing is known: what time is worth. */
  readonly #worth: Pace;
  readonly #luck = new Luck(TEXT_MEMORY);
  /** What its drafted steps took, in plain passes. */
  #spent = 0;
  #off: boolean;
  /** Why. */
  #reason: string | undefined;
  /** Drafted steps left in a trial while drafting is off, and plain passes that it may still lose. */
  #left = 0;
  #loss = 0;
  /** Steps since a plain pass was measured while nothing was drafted. */
  #unmeasured = 0;
  /** Whether the latest trial was a generous one. */
  #generous = false;
  /** Steps left of a plain trial while drafts pay. */
  #plain = 0;
  /** Whether the step before drafted, or was another text's. */
  #disturbed = true;

  /** `cost` may be shared by methods: it is the model's. `before`: the plan of another text of the method. */
  constructor(cost: CostCurve, before?: BudgetPlan) {
    this.#cost = cost;
    this.#all = before ? before.#all : new Experience();
    const all = this.#all;
    this.#pace = new Pace(all.pace.value, all.known ? TEXT_PRIOR : NOTHING, TEXT_MEMORY);
    this.#worth = new Pace(all.pace.value, TEXT_PRIOR, TEXT_MEMORY);
    this.#off = this.#isOff(all.value, STOP);
    // Texts differ: where drafts did not pay in others, they are tried in this one.
    if (!this.#off && all.known) return;
    all.allowance = Math.min(SAVED, all.allowance + OF_TEXT * all.hope);
    this.#off ||= all.allowance <= (all.early.value < STOP ? 0 : -INVESTED);
    if (this.#off && all.allowance > 0) this.#begin();
  }

  /** Whether the next step drafts nothing, and those behind it. */
  get rests(): boolean {
    return this.#off && this.#left === 0;
  }

  /** Why nothing is drafted; undefined while drafts pay. */
  get off(): string | undefined {
    if (!this.#off) return undefined;
    this.#reason ??=
      this.#spent > 0 || this.#all.known
        ? `off: drafts gave ${this.#value.toFixed(2)} tokens in the time of a plain one`
        : "off: the first drafts of other texts took what trials may lose";
    return this.#reason;
  }

  /**
   * What drafts have to be worth behind `length` tokens, in such company: what this text's own would give in their time, for its tokens have to come whatever
   * others are like, and at least what plain decoding would.
   */
  prices(length = 0, company: Company = ALONE): Prices {
    const cost = this.#cost;
    const rows = Math.min(USUAL_ROWS, cost.most);
    // One row of a moment in which others were busy may seem to take longer than several.
    const longer = Math.max(0, cost.ms(rows, length, company) - cost.ms(1, length, company));
    const rate = Math.max(1, this.#worth.with(-this.#luck.tokens)) / cost.share(1, length, company);
    return { ms: rate, node: rows === 1 ? 0 : (rate * longer) / (rows - 1) };
  }

  /** The next step, of a text of `length` tokens, of which the latest `repeated` came as they had come before. */
  next(length = 0, company: Company = ALONE, repeated = 0): Turn {
    const prices = this.prices(length, company);
    const { allowance, known } = this.#all;
    const least = this.#off ? (repeated >= REPEATED ? -SAVED : MIDDLE) : 0;
    const begins = this.#left === 0 && this.#plain === 0 && allowance > least && (this.#off || known);
    if (begins) this.#generous = !this.#generous;
    const generous = { ms: prices.ms * GENEROUS, node: prices.node * GENEROUS };
    if (this.#off) {
      if (begins) this.#begin();
      if (this.#left === 0) return { kind: "plain", trial: false, prices, length, company };
      return { kind: "drafted", trial: true, prices: this.#generous ? generous : prices, length, company };
    }
    if (begins && !this.#generous) this.#plain = company.texts === 0 ? PLAIN_RUN : 1;
    if (this.#plain > 0) return { kind: "plain", trial: true, prices, length, company };
    return { kind: "drafted", trial: begins, prices: begins ? generous : prices, length, company };
  }

  /** Nodes to keep of a tree whose nodes come in falling order of value. */
  choose({ prices, length, company }: Turn, values: ArrayLike<number>, size: number): number {
    const lone = company.texts === 0 ? this.#all.lone : 1;
    return chooseBudget(values, size, this.#cost, prices.ms, length, company, lone);
  }

  /** A step did as `turn` said. */
  observe(
    turn: Turn,
    { nodes, tokens, expected = tokens, passMs, draftMs, unusual = false, company = ALONE }: Spent,
  ): void {
    const cost = this.#cost;
    const all = this.#all;
    const rested = this.#off && turn.kind === "plain";
    // Plain passes are all alike: while nothing is drafted, some of them say enough. Whoever runs shared passes measures them.
    this.#unmeasured = rested ? (this.#unmeasured + 1) % SOME : 0;
    const drafts = turn.kind === "drafted";
    const isAlone = company.texts === 0;
    // One row takes longer in a drafted step than in plain decoding, by a factor of its own.
    const isLone = drafts && nodes === 1 && isAlone;
    const tells = drafts || !this.#disturbed;
    this.#disturbed = drafts;
    if (!drafts && this.#plain > 0) this.#plain--;
    if (isAlone && this.#unmeasured === 0 && tells) {
      const plainMs = isLone ? passMs / all.lone : passMs;
      if (isLone) all.observeLone(passMs / cost.ms(1, turn.length));
      cost.observe([{ rows: nodes, length: turn.length }], plainMs);
    }
    if (rested) {
      all.allowance = Math.min(SAVED, all.allowance + TRIALS);
      return;
    }
    const one = cost.share(1, turn.length, company);
    const pass = nodes === 1 ? (isLone ? all.lone : 1) : cost.share(nodes, turn.length, company) / one;
    // Texts that share passes draft at the same time, too.
    const drafting = draftMs / (1 + company.texts) / one;
    const draft = Math.min(LONGEST_DRAFT, drafting);
    all.allowance = Math.min(SAVED, all.allowance + (pass + draft) * TRIALS);
    const isShort = one < SHORT_PASS_MS && isAlone;
    const taken = isShort ? Math.max(pass, Math.min(LONGEST_PASS * pass, passMs / one)) : pass;
    const loss = taken + Math.min(isShort ? LONGEST_TRIAL : LONGEST_DRAFT, drafting) - tokens;
    if (this.#off || !all.known) {
      // Until their pace is known, drafts are trials only in part where passes are long.
      const counted = all.known ? loss : loss * Math.min(1, SHORT_PASS_MS / one);
      if (drafts && all.begun) all.allowance = Math.min(SAVED, all.allowance - counted);
    } else if (turn.trial) all.allowance -= Math.max(LEAST, pass + draft - tokens / all.value);
    if (!drafts || (turn.trial && !this.#off)) return;
    const isUsual = !(unusual || (this.#off && this.#left === ROUND));
    if (this.#left > 0) this.#left--;
    // What was missed has been read: to stop now would lose it for nothing.
    if (isUsual) this.#loss -= loss;
    if (this.#loss < 0) this.#left = 0;
    const { known } = all;
    const time = all.add(tokens, pass, draft, draftMs, isUsual);
    // A text in which the pace of all becomes known has begun without it.
    if (all.known && !known) this.#pace.add(all.pace.value * TEXT_PRIOR, TEXT_PRIOR);
    this.#pace.add(tokens, time);
    this.#worth.add(tokens, time);
    this.#luck.add(tokens, expected);
    this.#spent += time;
    this.#reason = undefined;
    const rests = this.#off;
    const least = rests ? START : STOP;
    if (!all.known) this.#off = this.#isLost(least);
    else if (this.#spent >= TEXT_ENOUGH) this.#off = this.#isOff(this.#value, least);
    if (!this.#off) this.#left = 0;
    if (this.#off && this.#left === 0 && isShort) all.hope = Math.max(LEAST_OF_TEXT / OF_TEXT, all.hope / 2);
    else if (!this.#off && (rests || all.known)) all.hope = 1;
  }

  /** The pace of the text, but for luck. */
  get #value(): number {
    return this.#pace.with(-this.#luck.tokens);
  }

  #begin(): void {
    this.#left = ROUND;
    this.#loss = ROUND_LOSS;
  }

  /** Whether to stop before the pace is known. */
  #isLost(least: number): boolean {
    const { draftTime, allowance } = this.#all;
    if (draftTime <= CHEAP) return false;
    if (this.#spent < FEW) return this.#off;
    return allowance < (this.#value < least ? 0 : -INVESTED);
  }

  #isOff(pace: number, least: number): boolean {
    return this.#all.known && this.#all.draftTime > CHEAP && pace < least;
  }
}
