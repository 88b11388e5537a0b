/**
 * @file A model's chain alone, or the union of what it and all tables say: whichever gives more tokens for its time. On a small target the chain of a small model takes
 * so little that a union's work counts, and a step without it does no more than the chain's.
 */

import type { Drafter, StepOutcome } from "../draft/drafter.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { StopRule } from "./stop/stop-rule.ts";
import type { Budget, Structure } from "./structure.ts";
import type { UnionTree } from "./union.ts";
import type { UnionWorth } from "./union-worth.ts";

/** The first drafter is a model, all others are tables. */
export class ChainOrUnion implements Structure {
  readonly #chain: Structure;
  readonly #union: UnionTree;
  readonly #worth: UnionWorth;
  /** The model alone. */
  readonly #model: Drafter[] = [];
  /** Tables whose worth is counted; others come with a text, and are asked always. */
  readonly #tables: number;
  /** Whether this text has others. */
  #others = false;
  /** When the step's draft began; undefined: it has none. */
  #start: number | undefined;
  /** Whether it is a union. */
  #joined = false;
  #price = 0;

  constructor(chain: Structure, union: UnionTree, { worth, tables }: { worth: UnionWorth; tables: number }) {
    this.#chain = chain;
    this.#union = union;
    this.#worth = worth;
    this.#tables = tables;
  }

  get stop(): StopRule {
    return this.#chain.stop!;
  }

  get trial(): boolean {
    return this.#joined && !this.#others && this.#worth.trial;
  }

  begin(temperature: number): void {
    this.#others = false;
    this.#union.begin(temperature);
  }

  grow(tree: DraftTree, drafters: readonly Drafter[], budget: Budget): void | Promise<void> {
    this.#start = performance.now();
    this.#joined = this.#joins;
    this.#others = drafters.length > 1 + this.#tables;
    this.#price = budget.prices?.ms ?? 0;
    if (this.#joined) return this.#union.grow(tree, drafters, budget);
    this.#model[0] = drafters[0]!;
    return this.#chain.grow(tree, this.#model, budget);
  }

  asks(drafter: number): boolean {
    if (this.#joins) return this.#union.asks(drafter);
    return drafter === 0 || drafter > this.#tables;
  }

  observe(outcome: StepOutcome, learning?: readonly number[]): void {
    const start = this.#start;
    if (start === undefined) return;
    this.#start = undefined;
    if (this.#joined) this.#union.observe(outcome, learning);
    if (this.#others) return;
    const { values, size } = outcome.tree;
    let tokens = 0;
    for (let node = 1; node < size; node++) tokens += values[node]!;
    const ms = performance.now() - start;
    if (this.#joined) this.#worth.union(tokens, ms, this.#price);
    else this.#worth.chain(tokens, ms, this.#price);
  }

  get #joins(): boolean {
    return this.#others || this.#worth.asked;
  }
}
