/**
 * @file A chain: OPT-Tree with one candidate a node, as long as its stop rule lets it grow. Of one drafter it is little more than its questions, which
 * is what a small model can afford; those that the stop rule foresees are told to the drafter, who may answer them together.
 */

import type { Drafter, Outlook } from "../draft/drafter.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import { OptTree } from "./opt-tree.ts";
import { QuestionTimes } from "./question-times.ts";
import type { StopRule } from "./stop/stop-rule.ts";
import type { Budget, Prices, Structure } from "./structure.ts";

const FREE: Prices = { ms: 0, node: 0 };

/** `times`: what questions to the drafter take, of all texts that ask it; by default known to this one alone. */
export function chain(stop: StopRule, times = new QuestionTimes()): Structure {
  return new Chain(stop, times);
}

class Chain implements Structure {
  readonly stop: StopRule;
  /** Of several drafters, whose first candidates may differ. */
  readonly #several: Structure;
  readonly #times: QuestionTimes;

  constructor(stop: StopRule, times: QuestionTimes) {
    this.stop = stop;
    this.#times = times;
    this.#several = new OptTree(stop, { width: 1, branches: 1 });
  }

  async grow(tree: DraftTree, drafters: readonly Drafter[], budget: Budget): Promise<void> {
    const drafter = drafters[0];
    if (!drafter || drafters.length > 1) return await this.#several.grow(tree, drafters, budget);
    const { prices = FREE, nodes } = budget;
    const most = Math.min(budget.depth, nodes - 1);
    const price = prices.node + prices.ms * (this.#times.costs?.next ?? 0);
    const start = performance.now();
    let questions = 0;
    let waited = false;
    let gain = 1;
    let next = Number.POSITIVE_INFINITY;
    for (let levels = 0; levels < most; levels++) {
      const best = tree.values[levels]!;
      if (best <= prices.node || !this.stop.continue({ levels, best, gain, next, price })) break;
      const answer = drafter.expand(tree, [levels], 1, this.#outlook(levels, most, best, price));
      if (answer instanceof Promise) waited ||= questions === 0;
      const [candidates] = answer instanceof Promise ? await answer : answer;
      questions++;
      const { tokens, probs } = candidates!;
      const value = tokens.length === 0 ? 0 : best * probs[0]!;
      if (value <= prices.node) break;
      tree.push(levels, tokens[0]!, probs[0]!);
      next = value ** 2 / gain;
      gain = value;
    }
    // Answers that were there when the question came took what the drafter says.
    if (waited) this.#time(performance.now() - start, questions);
    else if (drafter.ahead) this.#time(drafter.ahead.ms, drafter.ahead.questions);
  }

  /** Behind the question about level `levels`, which is worth `best`. */
  #outlook(levels: number, most: number, best: number, price: number): Outlook | undefined {
    const reach = this.stop.reach?.(price);
    return reach && { levels: Math.min(reach.levels, most) - levels - 1, worth: reach.worth / best };
  }

  /** Answers that came together share their time as they did before. */
  #time(ms: number, questions: number): void {
    const { first, next } = this.#times.costs ?? { first: 1, next: 1 };
    const part = ms / (first + (questions - 1) * next);
    this.#times.observe(0, first * part);
    if (questions > 1) this.#times.observe(1, next * part);
  }
}
