/** @file What was said of nodes and what came of them, by who proposed them, while a method learns and after that. */

import type { StepReport } from "../../src/session/step-report.ts";
import { Reliability } from "./reliability.ts";

/** A node that the target chose about: its parent was accepted. */
export interface Judged {
  /** Names of those that proposed it, in the method's order. */
  readonly proposers: readonly string[];
  /** The probability that the tree had it with. */
  readonly said: number;
  readonly accepted: boolean;
}

export function judgedOf({ parents, probs, drafters, path }: StepReport): Judged[] {
  const onPath = new Set(path);
  return parents.flatMap((parent, node) =>
    onPath.has(parent) ? { proposers: drafters[node]!, said: probs[node]!, accepted: onPath.has(node) } : [],
  );
}

/** Of some nodes: the first steps, all steps while it learns, and those after that. */
export interface Periods {
  readonly first: Reliability;
  readonly learning: Reliability;
  readonly learnt: Reliability;
}

/** Of all nodes of a method, whoever proposed them. */
export const ALL = "all";
/** Before the name of a drafter: of its nodes, whoever else proposed them. */
const WITH = "with ";
const withOthers = (name: string) => WITH + name;

/** Counts one method's steps. */
export class Ledger {
  readonly #first: number;
  readonly #learning: number;
  readonly #byProposers = new Map<string, Periods>();
  #steps = 0;

  /** Steps of the first period, and of the second, which begins with the first step as well. */
  constructor(first: number, learning: number) {
    this.#first = first;
    this.#learning = learning;
  }

  get steps(): number {
    return this.#steps;
  }

  add(step: StepReport): void {
    const at = this.#steps++;
    for (const { proposers, said, accepted } of judgedOf(step)) {
      for (const name of [ALL, ...proposers.map(withOthers), proposers.join(" + ")]) {
        const { first, learning, learnt } = this.#of(name);
        if (at < this.#first) first.add(said, accepted);
        (at < this.#learning ? learning : learnt).add(said, accepted);
      }
    }
  }

  /**
   * Where there are several drafters: {@link ALL}, each one's nodes, whoever else proposed them, and those of each set of proposers; of
   * each kind those with most nodes first.
   */
  get entries(): (readonly [string, Periods])[] {
    const nodes = ({ learning, learnt }: Periods) => learning.guesses + learnt.guesses;
    const kind = (name: string) => (name === ALL ? 0 : name.startsWith(WITH) ? 1 : 2);
    const entries = [...this.#byProposers].sort(
      ([nameA, a], [nameB, b]) => kind(nameA) - kind(nameB) || nodes(b) - nodes(a),
    );
    return entries.length > 3 ? entries : entries.filter(([name]) => kind(name) === 2);
  }

  #of(name: string): Periods {
    let periods = this.#byProposers.get(name);
    if (periods === undefined) {
      periods = { first: new Reliability(), learning: new Reliability(), learnt: new Reliability() };
      this.#byProposers.set(name, periods);
    }
    return periods;
  }
}
