/** @file A model that is ready: it generates, keeps what its methods learn, and owns the target. */

import { type Kept, type Learnt, restore, valuesOf } from "../draft/learnt.ts";
import { EspalierError } from "../errors.ts";
import type { MethodOptions } from "../methods/method.ts";
import { createMethod, defaultMethod, usableMethods } from "../methods/registry.ts";
import { CostCurve } from "../plan/cost.ts";
import { LoadPlans } from "../plan/load-plans.ts";
import { QuestionTimes } from "../structure/question-times.ts";
import { SharedTarget } from "../target/shared-target.ts";
import type { GenerateEvent, GenerateRequest } from "./api.ts";
import { Cache } from "./cache.ts";
import { generate, type Planned } from "./generate.ts";
import type { ModelParts } from "./parts.ts";
import { type CheckedRequest, checkRequest } from "./request.ts";
import { Session } from "./session.ts";
import { badState, readState, writeState } from "./state-file.ts";
import { LONGEST_PASS_MS, WARM_UP_MS, type WarmUpOptions, writeForNobody } from "./warm-up.ts";

/** How often a model that keeps what it learns does so while it is used, beside the end. */
const KEEP_MS = 300_000;

export class Model implements AsyncDisposable {
  readonly parts: ModelParts;
  readonly #options: MethodOptions;
  readonly #cost: CostCurve | undefined;
  readonly #questions: QuestionTimes;
  /** The target, whose passes the texts that run at the same time share. */
  readonly #target: SharedTarget;
  /** By name, those that were used last at the end. */
  readonly #methods = new Map<string, Planned>();
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  /** Whether a method was used since what is learnt was kept. */
  #used = false;
  #kept: Promise<void> = Promise.resolve();
  /** Whether anybody has asked for a text. */
  #asked = false;
  /** Ends the warm-up. */
  readonly #cold = new AbortController();
  #warmUp: Promise<void> | undefined;

  /** Throws RangeError when `parts.passTimes` or `questionCosts` make no sense, or draft model or head are no match for the target. */
  constructor(parts: ModelParts) {
    const { target, draftModel, head, exit, lengths, datastore } = parts;
    if (draftModel && draftModel.vocabSize !== target.vocabSize) {
      throw new RangeError(
        `the draft model has ${draftModel.vocabSize} tokens and the model ${target.vocabSize}; give one of the same vocabulary`,
      );
    }
    if (head && (head.hiddenSize !== target.hiddenSize || head.taps.some((tap) => tap > target.layers))) {
      throw new RangeError(
        `the draft head reads states of ${head.hiddenSize} values after layers ${head.taps.join(", ")}; the model has ${target.layers} layers of ${target.hiddenSize}`,
      );
    }
    if (exit && (exit.hiddenSize !== target.hiddenSize || exit.exitLayer >= target.layers)) {
      throw new RangeError(
        `the exit block stands behind layer ${exit.exitLayer}, with states of ${exit.hiddenSize} values; the model has ${target.layers} layers of ${target.hiddenSize}`,
      );
    }
    this.parts = parts;
    const { vocabSize, contextLength } = target;
    const sharedDrafts = draftModel && new SharedTarget(draftModel);
    this.#questions = new QuestionTimes(parts.questionCosts);
    this.#options = {
      vocabSize,
      contextLength,
      draftModel: sharedDrafts,
      head,
      exit,
      lengths,
      questions: this.#questions,
      datastore,
    };
    this.#cost = this.#newCost();
    this.#target = new SharedTarget(target, (parts, ms) => this.#cost?.observe(parts, ms));
    if (parts.keeper) {
      this.#timer = setInterval(() => this.#used && this.#keep(), KEEP_MS);
      this.#timer.unref();
    }
  }

  get name(): string {
    return this.parts.name;
  }

  get vocabSize(): number {
    return this.parts.target.vocabSize;
  }

  /** Names of the methods that can be used with this model and what was loaded beside it. */
  get methodNames(): string[] {
    return usableMethods(this.#options);
  }

  /** The method of requests that name none. */
  get defaultMethod(): string {
    return defaultMethod;
  }

  /** The longest text, prompt included, in tokens. */
  get contextLength(): number {
    return this.parts.target.contextLength;
  }

  /**
   * Generates in a cache of its own, which is freed at the end: any number of "text" events, then one "end". Wrong
   * requests come out of the first `next()`: RangeError or TypeError, EspalierError "context-overflow" when the prompt is
   * too long, "out-of-memory" when its cache, or what it drafts with, does not fit. Texts that are generated at the same time share passes; each is the one that
   * it would be alone.
   */
  async *generate(request: GenerateRequest): AsyncGenerator<GenerateEvent, void, undefined> {
    const checked = checkRequest(request, this.parts, this.contextLength);
    const method = this.begin(checked.method);
    const cache = await this.openCache(checked);
    try {
      yield* generate(this.parts, method, cache, checked, this.contextLength);
    } finally {
      await cache[Symbol.asyncDispose]();
    }
  }

  /** An empty cache with room for what `request` may become; whoever asks for it frees it. */
  async openCache({ prompt, maxTokens }: CheckedRequest): Promise<Cache> {
    const capacity = Math.min(this.contextLength, prompt.length + maxTokens);
    return new Cache(await this.#target.createSequence({ capacity, length: prompt.length }));
  }

  /**
   * A conversation that keeps its cache between turns. `contextLength`: most tokens of its text, at least 2; default and
   * most: the model's.
   */
  async createSession(options: { readonly contextLength?: number } = {}): Promise<Session> {
    const { contextLength = this.contextLength } = options;
    if (!Number.isInteger(contextLength) || contextLength < 2 || contextLength > this.contextLength) {
      throw new RangeError(
        `contextLength is ${contextLength}; give an integer from 2 to ${this.contextLength}, the model's`,
      );
    }
    const sequence = await this.#target.createSequence({ capacity: contextLength });
    return new Session(this, new Cache(sequence), contextLength);
  }

  /** A text begins that somebody asked for; gives its method. */
  begin(name?: string): Planned {
    this.#asked = true;
    // To abort makes an error with its stack, also where all is over: 60 us, on every text.
    if (!this.#cold.signal.aborted) this.#cold.abort();
    return this.method(name);
  }

  /**
   * Writes texts for nobody, in the time before the first request: until JavaScript is compiled, the first answers come up to a third slower. It ends by
   * itself when a text is asked for, and does nothing when one was, or on a model whose passes take so long that it would not show. Nothing of these texts is learnt,
   * kept or seen. There is one at most: who asks again waits for the end of the first. Throws RangeError when `ms` is no number above 0, and what `generate` may throw.
   */
  async warmUp({ ms = WARM_UP_MS, method = this.defaultMethod, signal }: WarmUpOptions = {}): Promise<void> {
    if (!(ms > 0)) throw new RangeError(`ms is ${ms}; give milliseconds above 0`);
    const isLong = this.#cost !== undefined && this.#cost.ms(1) > LONGEST_PASS_MS;
    if (this.#asked || isLong) return;
    if (this.#warmUp === undefined) {
      const ends = [this.#cold.signal, AbortSignal.timeout(Math.min(ms, 2 ** 31 - 1))];
      if (signal) ends.push(signal);
      const other = new Model({ ...this.parts, keeper: undefined });
      this.#warmUp = writeForNobody(other, method, AbortSignal.any(ends));
    }
    await this.#warmUp;
  }

  /** The method of that name with all it has learnt from this model. Each method learns for itself. */
  method(name = this.defaultMethod): Planned {
    const planned = this.#methods.get(name) ?? this.#create(name);
    this.#methods.delete(name);
    this.#methods.set(name, planned);
    this.#used = true;
    return planned;
  }

  /**
   * Writes what `method` has learnt to a file, which may hold what other methods have: what methods learn alike they share there, and what
   * only others learn stays. Throws RangeError for a method that learns nothing, EspalierError "bad-state" when something else is
   * in the file.
   */
  async saveState(file: string, method = this.defaultMethod): Promise<void> {
    const learnt = this.#learntOf(method);
    const { fingerprint } = this.parts.tokenizer;
    const others = await readState(file, fingerprint).catch((error: unknown) => {
      if (error instanceof EspalierError && error.code === "file-not-found") return [];
      throw error;
    });
    await writeState(file, fingerprint, new Map([...others, ...valuesOf(learnt)]));
  }

  /**
   * Reads what {@link saveState} wrote, for this method or another, in place of what `method` has learnt; what it does not find there it
   * keeps. Throws EspalierError "file-not-found", or "bad-state" when the file is damaged or of a model with another vocabulary.
   */
  async loadState(file: string, method = this.defaultMethod): Promise<void> {
    const learnt = this.#learntOf(method);
    const wrong = restore(learnt, await readState(file, this.parts.tokenizer.fingerprint));
    if (wrong !== undefined) throw badState(file, `it has a ${wrong} that cannot be`);
  }

  /** Keeps what was learnt, if it was loaded so, and frees the target and what drafts for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#cold.abort();
    // Who asked for the warm-up is told what went wrong with it.
    await this.#warmUp?.catch(() => {});
    await this.#keep();
    await this.parts.lengths?.[Symbol.asyncDispose]?.();
    await this.parts.head?.[Symbol.asyncDispose]();
    await this.parts.exit?.[Symbol.asyncDispose]();
    await this.parts.draftModel?.[Symbol.asyncDispose]();
    await this.parts.target[Symbol.asyncDispose]();
  }

  #create(name: string): Planned {
    const method = createMethod(name, this.#options);
    const { keeper } = this.parts;
    const cost = method.partial ? this.#newCost() : this.#cost;
    if (keeper && method.learnt) {
      const wrong = restore(method.learnt, keeper.learnt);
      if (wrong !== undefined) keeper.refuse(wrong);
    }
    return { method, plans: cost && new LoadPlans(cost) };
  }

  /** What passes cost, as measured; undefined when nobody did. */
  #newCost(): CostCurve | undefined {
    const { passTimes, target } = this.parts;
    return passTimes && new CostCurve(passTimes, (length) => target.attended?.(length) ?? length);
  }

  /** Keeps what all methods have learnt; of what several have, that of the one that was used last. */
  #keep(): Promise<void> {
    this.#used = false;
    const learnt: Kept = new Map(
      [...this.#methods.values()].flatMap(({ method }) => [...valuesOf(method.learnt ?? {})]),
    );
    const costs = this.#cost && { passes: this.#cost.points, questions: this.#questions.costs };
    this.#kept = this.#kept.then(() => this.parts.keeper?.keep(learnt, costs));
    return this.#kept;
  }

  #learntOf(name: string): Learnt {
    const { learnt } = this.method(name).method;
    if (learnt === undefined) throw new RangeError(`method ${name} keeps no state: it learns nothing`);
    return learnt;
  }
}
