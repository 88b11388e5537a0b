/**
 * @file RASD's tree (arXiv:2503.03434): a model drafts one tree, tables fill another one meanwhile, whose branches that begin with none of
 * the model's most likely first tokens may be dropped; the union of both by longest prefix is cut to the budget. Where both have a say a node is worth
 * what the two make of it (copying.ts), so the model is asked about what tables find, too, and elsewhere what tables say of it.
 */

import type { Candidates, Drafter } from "../draft/drafter.ts";
import { pickedAt, type StepOutcome } from "../draft/drafter.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import { fuse, type Twins } from "../tree/fuse.ts";
import { pruneBranches, pruneToBudget } from "../tree/prune.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { BestFirst } from "./best-first.ts";
import type { CopyOdds, Mixture } from "./copying.ts";
import { type Fused, mergeByMaximum } from "./fuse.ts";
import { OptTree } from "./opt-tree.ts";
import type { StopRule } from "./stop/stop-rule.ts";
import type { Budget, Structure } from "./structure.ts";

const ANY = (_token: TokenId): boolean => true;

/** The tree of the first drafter, a model, fused with that of the others, tables. */
export class Fusion implements Structure {
  readonly #model: OptTree;
  readonly #tables = new BestFirst();
  readonly #odds: CopyOdds;
  readonly #firsts: number;
  readonly #drafted = new Scratch();
  readonly #retrieved = new Scratch();
  readonly #kept = new Scratch();
  readonly #union = new Scratch();
  /** The tree that the model was asked about in this step, and by its nodes what came of the answers; none outside a step. */
  #asked = new DraftTree(0, 1);
  readonly #mixtures: Mixture[] = [];
  /** Which tokens the model could say, and which ones tables may begin with. */
  #couldSay = ANY;
  #keeps = ANY;

  /**
   * `stop` says when the model is not asked any further. Of the tables' branches those stay that begin with one of the model's `firsts` most
   * likely tokens, or with one that it cannot say; Infinity: all.
   */
  constructor(stop: StopRule, odds: CopyOdds, firsts: number) {
    this.#model = new OptTree(stop, { merge: (answers, tree, node) => this.#mix(answers, tree, node) });
    this.#odds = odds;
    this.#firsts = firsts;
  }

  get stop() {
    return this.#model.stop;
  }

  async grow(tree: DraftTree, drafters: readonly Drafter[], budget: Budget): Promise<void> {
    const { nodes } = budget;
    const model = drafters[0]!;
    const drafted = this.#drafted.reset(tree.root, nodes);
    const retrieved = this.#retrieved.reset(tree.root, nodes);
    this.#mixtures.length = 0;
    this.#keeps = ANY;
    this.#couldSay = (token) => model.names?.(token) ?? true;
    // Tables answer while the model's first pass runs. Sources keep their places.
    const tables = drafters.map((drafter, i) => (i === 0 ? SILENT : drafter));
    await Promise.all([
      this.#model.grow(drafted, drafters, budget),
      this.#tables.grow(retrieved, tables, budget),
    ]);
    const kept = this.#kept.reset(tree.root, nodes);
    pruneBranches(retrieved, this.#keeps, kept);
    const union = this.#union.reset(tree.root, 2 * nodes);
    const places: NodeIndex[] = [0];
    for (let node = 1; node < drafted.size; node++)
      places[node] = this.#asked.child(places[drafted.parents[node]!]!, drafted.tokens[node]!);
    fuse(drafted, kept, union, ({ inA, inB, parentInA }: Twins) => {
      if (inA >= 0) return drafted.probs[inA]!;
      const mixture = parentInA < 0 ? undefined : this.#mixtures[places[parentInA]!];
      const token = kept.tokens[inB]!;
      if (mixture === undefined) return kept.probs[inB]!;
      return mixture.candidates.find((candidate) => candidate.token === token)?.prob ?? 0;
    });
    pruneToBudget(union, nodes, tree);
  }

  observe(outcome: StepOutcome): void {
    let node: NodeIndex = 0;
    for (let i = 0; i < outcome.path.length && node >= 0; i++) {
      const mixture = this.#mixtures[node];
      if (mixture === undefined) break;
      const picked = pickedAt(outcome, i);
      this.#odds.learn(mixture, picked);
      node = this.#asked.child(node, picked);
    }
    // A step without a draft learns nothing from the one before.
    this.#mixtures.length = 0;
  }

  #mix([model, ...tables]: readonly Candidates[], tree: DraftTree, node: NodeIndex): Fused[] {
    this.#asked = tree;
    let found = mergeByMaximum([NOTHING, ...tables]);
    if (node === 0) {
      this.#keeps = this.#firstTokens(model!);
      found = found.filter(({ token }) => this.#keeps(token));
    }
    const mixture = this.#odds.mix(model!, found, this.#couldSay);
    this.#mixtures[node] = mixture;
    return mixture.candidates;
  }

  /** Says which tokens tables may begin with, given what the model says of the root. */
  #firstTokens({ tokens }: Candidates): (token: TokenId) => boolean {
    if (tokens.length === 0 || this.#firsts === Number.POSITIVE_INFINITY) return ANY;
    const firsts = tokens.slice(0, this.#firsts);
    return (token) => firsts.includes(token) || !this.#couldSay(token);
  }
}

/** A tree that is used again for every step. */
class Scratch {
  tree = new DraftTree(0, 1);

  reset(root: number, capacity: number): DraftTree {
    if (this.tree.capacity < capacity) this.tree = new DraftTree(root, capacity);
    else this.tree.reset(root);
    return this.tree;
  }
}

const NOTHING: Candidates = { tokens: [], probs: [] };

const SILENT: Drafter = {
  name: "silent",
  rows: { pass: 0, prompt: 0 },
  begin() {},
  expand: (_tree, nodes) => nodes.map(() => NOTHING),
  observe() {},
};
