/**
 * @file One tree of all drafters: the candidates of a node are those of everybody, a token that several propose is one node with one
 * probability, mixed from their opinions, and the tree is the most valuable one there is (OPT-Tree's, arXiv:2406.17276, over the union).
 * Tables answer for every node that is drafted. A model is asked by levels, where that has paid: first the tables' tree is grown, and every
 * question after that changes what its nodes are worth.
 */

import { type Drafter, pickedAt, type StepOutcome } from "../draft/drafter.ts";
import type { Mixer } from "../draft/mixer.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex } from "../types.ts";
import { EMPTY, Frontier } from "./frontier.ts";
import { NOTHING, Opinions } from "./opinions.ts";
import type { Budget, Prices, Structure } from "./structure.ts";
import type { TableWorth } from "./table-worth.ts";
import { TextLuck } from "./text-luck.ts";
import { Question, type Yields } from "./yields.ts";

/** The most candidates of one drafter below a node. */
const BRANCHES = 4;
/** The most nodes of one question. */
const WIDTH = 4;
/** Nodes that are looked at, as a multiple of the budget: questions change which are the best. */
const LOOKED_AT = 4;
const ROOT: readonly NodeIndex[] = [0];
const FREE: Prices = { ms: 0, node: 0 };

/** What all texts of a method share. */
export interface UnionMemory {
  /** By temperature: a target that samples agrees less often. */
  mixer(temperature: number): Mixer;
  /** What asking the model has brought; undefined where there is none. */
  readonly yields?: Yields | undefined;
  /** Of the first tables, what they have brought; others are asked always. */
  readonly tables?: readonly TableWorth[];
}

/** With `yields` the first drafter is a model, all others are tables. */
export class UnionTree implements Structure {
  readonly #memory: UnionMemory;
  readonly #yields: Yields | undefined;
  #mixer: Mixer;
  /** The first drafter that is a table. */
  readonly #firstTable: number;
  readonly #frontier = new Frontier();
  readonly #luck = new TextLuck();
  /** Every node that was looked at in this step. */
  #all = new DraftTree(0, 1);
  /** By node of `#all`. */
  readonly #opinions: Opinions[] = [];
  /** The best nodes of `#all`, most valuable first, so that parents come before their children. */
  #best: NodeIndex[] = [];
  /** By node of `#all`, where it is in the tree. */
  readonly #places: NodeIndex[] = [];
  readonly #ask: NodeIndex[] = [0];
  /** By drafter, milliseconds of its answers in this step. */
  readonly #ms: number[] = [];
  /** By node of `#all`, what it would be worth without one of the drafters. */
  readonly #without: number[] = [];
  /** What is asked next. */
  readonly #next = new Question();
  /** By node of `#all`, what its children in the tree are worth. */
  readonly #named: number[] = [0];
  /** By node of `#all`, the latest question before which it was among the best, and whether the model brought it behind the latest. */
  readonly #seen: number[] = [];
  readonly #brought: boolean[] = [false];
  #time = 0;
  /** What this step pays. */
  #price = FREE;
  #grown = false;

  constructor(memory: UnionMemory) {
    this.#memory = memory;
    this.#yields = memory.yields;
    this.#mixer = memory.mixer(0);
    this.#firstTable = this.#yields ? 1 : 0;
  }

  begin(temperature: number): void {
    this.#luck.begin();
    this.#mixer = this.#memory.mixer(temperature);
    this.#all.reset(0);
  }

  async grow(tree: DraftTree, drafters: readonly Drafter[], budget: Budget): Promise<void> {
    const depth = Math.min(budget.depth, budget.nodes - 1);
    if (depth === 0) return;
    const capacity = budget.nodes * LOOKED_AT;
    if (this.#all.capacity < capacity) this.#all = new DraftTree(tree.root, capacity);
    else this.#all.reset(tree.root);
    const { prices = FREE } = budget;
    const model = this.#yields && drafters[0];
    this.#grown = true;
    this.#price = prices;
    this.#ms.length = 0;
    this.#consult(0, drafters);
    const worth = this.#select(drafters, budget);
    this.#luck.fade();
    if (model && this.#yields!.asks(worth, prices.ms, this.#luck.value)) {
      const expected = this.#yields!.gain(worth);
      const before = [...this.#best];
      const { questions, worth: after } = await this.#question(model, drafters, budget);
      const gained = after - this.#worth(before, prices.node);
      this.#luck.observe(expected, gained);
      this.#yields!.observe(worth, gained, questions);
    }
    this.#copy(tree);
  }

  asks(drafter: number): boolean {
    if (drafter < this.#firstTable) return !this.#yields!.idle;
    return this.#memory.tables?.[drafter - this.#firstTable]?.asked ?? true;
  }

  observe(outcome: StepOutcome, learning: readonly number[] = []): void {
    // A step without a draft teaches nothing.
    if (!this.#grown) return;
    this.#grown = false;
    this.#judge(learning);
    const all = this.#all;
    let node: NodeIndex = 0;
    for (let i = 0; i < outcome.path.length && node >= 0; i++) {
      const picked = pickedAt(outcome, i);
      if (all.size > 1) this.#opinions[node]!.learn(this.#mixer, picked);
      node = all.child(node, picked);
    }
    all.reset(0);
  }

  /** What each table was worth in a step with a draft. */
  #judge(learning: readonly number[]): void {
    for (const [at, table] of (this.#memory.tables ?? []).entries()) {
      const i = this.#firstTable + at;
      if (!table.asked) table.pass();
      else table.observe(this.#worthOf(i), (this.#ms[i] ?? 0) + (learning[i] ?? 0), this.#price.ms);
    }
  }

  /** What the tree's nodes are worth that would not be in it without drafter i, beyond their rows. */
  #worthOf(i: number): number {
    const { parents, values } = this.#all;
    const { node: price } = this.#price;
    const without = this.#without;
    let worth = 0;
    without[0] = 1;
    for (const node of this.#best) {
      const parent = parents[node]!;
      without[node] = without[parent]! * this.#opinions[parent]!.probWithout(node, i, this.#mixer);
      if (without[node]! <= price) worth += values[node]! - price;
    }
    return worth;
  }

  /** Asks the model level by level; gives how often, and what the tree is worth then. */
  async #question(model: Drafter, drafters: readonly Drafter[], budget: Budget) {
    const yields = this.#yields!;
    const { prices = FREE } = budget;
    let worth = 0;
    let questions = 0;
    for (; questions < budget.depth; questions++) {
      const asked = questions === 0 ? ROOT : this.#worthAsking(prices);
      if (asked.length === 0 || (questions > 0 && !yields.goesOn(this.#next, prices.ms))) break;
      const start = performance.now();
      const answers = await model.expand(this.#all, asked, BRANCHES);
      const ms = performance.now() - start;
      for (const [i, node] of asked.entries()) {
        const opinions = this.#opinions[node]!;
        opinions.asked = true;
        opinions.add(answers[i]!, 0);
        opinions.mix(this.#mixer);
      }
      this.#revalue();
      // The tree of before is judged by what is known now.
      const before = this.#worth(this.#best, prices.node);
      this.#remember();
      worth = this.#select(drafters, budget);
      if (questions === 0) yields.observeFirst(ms);
      else yields.observeNext(this.#next, Math.max(0, worth - before - this.#longer(prices.node)), ms);
    }
    return { questions, worth };
  }

  #worth(nodes: readonly NodeIndex[], price: number): number {
    return nodes.reduce((sum, node) => sum + this.#all.values[node]! - price, 0);
  }

  /** Another question changes which nodes are the best. */
  #remember(): void {
    this.#time++;
    for (const node of this.#best) this.#seen[node] = this.#time;
  }

  /**
   * What those of the best nodes are worth, beyond their rows, that have become worth them since the model agrees with nodes above, without its naming
   * them or what they hang on. Questions are not asked for these: where tables are right without the model, as in a loop, they are right without it.
   */
  #longer(row: number): number {
    const { parents, values, sources } = this.#all;
    const seen = this.#seen;
    const brought = this.#brought;
    let worth = 0;
    for (const node of this.#best) {
      const isNew = seen[node] !== this.#time;
      brought[node] = isNew && ((sources[node]! & 1) === 1 || brought[parents[node]!]!);
      if (isNew && !brought[node]) worth += values[node]! - row;
    }
    return worth;
  }

  /** Of the best nodes, the most valuable that are worth asking about: whose parents the model was asked about, and they not. */
  #worthAsking({ node: row, ms: price }: Prices): NodeIndex[] {
    const { parents, values } = this.#all;
    const named = this.#named;
    for (const node of this.#best) named[node] = 0;
    for (const node of this.#best) named[parents[node]!]! += values[node]!;
    const question = this.#next;
    question.clear();
    const asked: NodeIndex[] = [];
    for (const node of this.#best) {
      if (this.#opinions[node]!.asked || !this.#opinions[parents[node]!]!.asked) continue;
      if (!this.#yields!.about(question, values[node]!, named[node]!, row, price)) continue;
      if (asked.push(node) === WIDTH) break;
    }
    return asked;
  }

  /** Finds the best nodes, each worth more than its row, and gives what they are worth together beyond their rows. */
  #select(drafters: readonly Drafter[], { nodes, depth, prices = FREE }: Budget): number {
    const all = this.#all;
    const frontier = this.#frontier;
    frontier.clear();
    this.#best.length = 0;
    let worth = 0;
    this.#offer(0, prices.node);
    while (this.#best.length < nodes - 1) {
      const next = frontier.pop();
      if (next === EMPTY) break;
      const parent = frontier.parents[next]!;
      const rank = frontier.ranks[next]!;
      const { nodes: children } = this.#opinions[parent]!;
      let node = children[rank]!;
      if (node === NOTHING) {
        if (all.size === all.capacity) continue;
        node = all.push(parent, frontier.tokens[next]!, frontier.probs[next]!, frontier.sources[next]!);
        children[rank] = node;
        this.#consult(node, drafters);
      } else all.sources[node] = frontier.sources[next]!;
      this.#best.push(node);
      worth += frontier.values[next]! - prices.node;
      if (all.depths[node]! < depth) this.#offer(node, prices.node);
    }
    return worth;
  }

  /** Tables speak about a new node. */
  #consult(node: NodeIndex, drafters: readonly Drafter[]): void {
    this.#opinions[node] ??= new Opinions();
    const opinions = this.#opinions[node];
    opinions.clear();
    this.#ask[0] = node;
    for (let i = this.#firstTable; i < drafters.length; i++) {
      if (!this.asks(i)) continue;
      const start = performance.now();
      const answers = drafters[i]!.expand(this.#all, this.#ask, BRANCHES);
      this.#ms[i] = (this.#ms[i] ?? 0) + performance.now() - start;
      if (answers instanceof Promise) throw new Error(`internal: ${drafters[i]!.name} is no table`);
      opinions.add(answers[0]!, i);
    }
    opinions.mix(this.#mixer);
  }

  #offer(parent: NodeIndex, least: number): void {
    const { size, tokens, probs, sources } = this.#opinions[parent]!;
    const above = this.#all.values[parent]!;
    for (let rank = 0; rank < size; rank++) {
      const prob = probs[rank]!;
      const value = above * prob;
      if (value <= least) continue;
      this.#frontier.push(parent, tokens[rank]!, prob, value, sources[rank]!, rank);
    }
  }

  /** What nodes are worth after opinions have changed. */
  #revalue(): void {
    const { size, parents, probs, values } = this.#all;
    for (let node = 0; node < size; node++) {
      const opinions = this.#opinions[node]!;
      for (let entry = 0; entry < opinions.size; entry++) {
        const child = opinions.nodes[entry]!;
        if (child !== NOTHING) probs[child] = opinions.probs[entry]!;
      }
    }
    for (let node = 1; node < size; node++) values[node] = values[parents[node]!]! * probs[node]!;
  }

  #copy(tree: DraftTree): void {
    const all = this.#all;
    this.#places[0] = 0;
    for (const node of this.#best) {
      const parent = this.#places[all.parents[node]!]!;
      this.#places[node] = tree.push(parent, all.tokens[node]!, all.probs[node]!, all.sources[node]!);
    }
  }
}
