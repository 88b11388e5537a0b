/**
 * @file What drafts of a method have given, in all of its texts: tokens in the time of a plain one, and what trials may still lose. Times are in plain
 * passes, so that they mean the same when the machine is busy.
 */

/** Drafted steps that the pace remembers, some ten texts: one of which nobody can guess is no reason to begin the next without drafts. How many it takes to be believed. */
const MEMORY = 1 - 1 / 256;
const ENOUGH = 24;
/**
 * Drafted steps before that are not counted: code is cold, and drafters have learnt nothing. Of a small model they are over in no time, so
 * as many more do not count until drafting has taken so many milliseconds. In their text, a draft counts as at most COLD plain passes.
 */
const WARM_UP = 24;
const WARM_UP_MS = 20;
const COLD = 0.5;
/** A draft that takes so many times the mean says more of the machine than of its text. */
const LONG = 2;
/** What the pace is before anything is known of it, and for how many drafted steps that counts: nobody gives up over a few bad ones. */
const PRIOR = 1.3;
const PRIOR_STEPS = 24;
/** The most that is saved up for trials. */
export const SAVED = 4;
/** What one row's pass in a drafted step says of later ones, and by how much at most it counts as longer or shorter than they were: others disturb some. */
const LONE_PART = 1 / 16;
const LONE_CLIP = 0.5;
const NOTHING = 1e-9;

/** What drafted steps gave: tokens, and time in plain passes, both fading. */
export class Pace {
  #tokens: number;
  #time: number;
  readonly #memory: number;

  /** At first it is `value`, as if from so much `time`, in plain passes. */
  constructor(value: number, time: number, memory: number) {
    this.#tokens = value * time;
    this.#time = time;
    this.#memory = memory;
  }

  get value(): number {
    return this.#tokens / this.#time;
  }

  /** What it would be with `tokens` more. */
  with(tokens: number): number {
    return (this.#tokens + tokens) / this.#time;
  }

  add(tokens: number, time: number): void {
    this.#tokens = this.#tokens * this.#memory + tokens;
    this.#time = this.#time * this.#memory + time;
  }
}

/** What all texts of a method know of its drafts. */
export class Experience {
  readonly pace = new Pace(PRIOR, PRIOR_STEPS, MEMORY);
  /** The same from the first step on, as far as cold ones tell of later ones. */
  readonly early = new Pace(PRIOR, NOTHING, MEMORY);
  /** Of a draft, in plain passes. */
  draftTime = 0;
  /** Of a drafted step's pass of one row: drafters have used the processor's caches before it, and threads have slept. */
  lone = 1;
  #drafts = 0;
  /** Drafted steps that count, from -2 * WARM_UP on. */
  steps = -2 * WARM_UP;
  /** Milliseconds of drafting that do not count. */
  #coldMs = 0;
  /** What trials may still lose, in plain passes, and all drafts until their pace is known. */
  allowance = SAVED;
  /** How far new texts are hoped to be unlike those before, at most 1; less with every trial that fails. */
  hope = 1;

  /** Whether something was drafted: the first time takes far longer than the next, and never again. */
  get begun(): boolean {
    return this.#drafts > 0;
  }

  /** Whether the pace is believed. */
  get known(): boolean {
    return this.steps >= ENOUGH;
  }

  /** Tokens of drafted steps in the time of a plain pass; 1 until that is believed. */
  get value(): number {
    return this.known ? this.pace.value : 1;
  }

  /**
   * A drafted step of `tokens` tokens, with the time of its pass and of its draft; `isUsual`: the draft did nothing beside. Gives what it took, as far as
   * that tells of later ones.
   */
  add(tokens: number, pass: number, draft: number, draftMs: number, isUsual: boolean): number {
    const counts = isUsual && !this.#isCold(draftMs);
    const usual = counts ? draft : Math.min(draft, this.known ? this.draftTime : COLD);
    this.early.add(tokens, pass + usual);
    this.#drafts++;
    this.draftTime += (usual - this.draftTime) * Math.max(1 - MEMORY, 1 / this.#drafts);
    if (counts) this.pace.add(tokens, pass + usual);
    return pass + Math.min(usual, LONG * this.draftTime);
  }

  /** A drafted step's pass of one row took so many plain passes. */
  observeLone(passes: number): void {
    this.lone += Math.max(-LONE_CLIP, Math.min(LONE_CLIP, passes - this.lone)) * LONE_PART;
  }

  #isCold(draftMs: number): boolean {
    this.#coldMs += draftMs;
    this.steps++;
    // What drafts have not lost until now is not for trials of what is known.
    if (this.steps === ENOUGH) this.allowance = Math.min(0, this.allowance);
    if (this.steps >= -WARM_UP && this.steps < 0 && this.#coldMs >= WARM_UP_MS) this.steps = 0;
    return this.steps <= 0;
  }
}
