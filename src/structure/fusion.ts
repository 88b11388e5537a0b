/**
 * @file RASD's tree (arXiv:2503.03434): a model drafts one tree, tables fill another one meanwhile, whose branches that begin with none of
 * the model's most likely first tokens are dropped; the union of both is cut to the budget. A model of few tokens says nothing against the
 * others. Values are those that such nodes have turned out to have, since a model's probability and a frequency are not the same.
 */

import { type Candidates, type Drafter, pickedAt, type StepOutcome } from "../draft/drafter.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import { fuse, type Twins } from "../tree/fuse.ts";
import { pruneBranches, pruneToBudget } from "../tree/prune.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { AgreementOdds, type Opinion } from "./agreement.ts";
import { BestFirst } from "./best-first.ts";
import type { OptTree } from "./opt-tree.ts";
import type { Budget, Structure } from "./structure.ts";

/** The tree of the first drafter, a model, fused with that of the others, tables. */
export class Fusion implements Structure {
  readonly #model: OptTree;
  readonly #tables = new BestFirst();
  readonly #odds: AgreementOdds;
  readonly #firsts: number;
  readonly #drafted = new Scratch();
  readonly #retrieved = new Scratch();
  readonly #kept = new Scratch();
  readonly #union = new Scratch();
  /** Of the union's nodes but for its root; none outside a step. */
  #classes: number[] = [];

  /**
   * `model` grows the model's tree. Of the tables' branches those stay that begin with one of its `firsts` most likely tokens, or with one that
   * it cannot say; Infinity: all.
   */
  constructor(model: OptTree, odds: AgreementOdds, firsts: number) {
    this.#model = model;
    this.#odds = odds;
    this.#firsts = firsts;
  }

  get stop() {
    return this.#model.stop;
  }

  async grow(tree: DraftTree, drafters: readonly Drafter[], budget: Budget): Promise<void> {
    const { nodes } = budget;
    const drafted = this.#drafted.reset(tree.root, nodes);
    const retrieved = this.#retrieved.reset(tree.root, nodes);
    const model = new Listener(drafters[0]!);
    // Tables answer while the model's first pass runs. Sources keep their places.
    const tables = drafters.map((drafter, i) => (i === 0 ? SILENT : drafter));
    await Promise.all([
      this.#model.grow(drafted, [model], budget),
      this.#tables.grow(retrieved, tables, budget),
    ]);
    const said = model.first?.tokens ?? [];
    const all = said.length === 0 || this.#firsts === Number.POSITIVE_INFINITY;
    const firsts = said.slice(0, this.#firsts);
    const kept = this.#kept.reset(tree.root, nodes);
    const couldSay = (token: TokenId) => drafters[0]!.names?.(token) ?? true;
    pruneBranches(retrieved, (token) => all || firsts.includes(token) || !couldSay(token), kept);
    const union = this.#union.reset(tree.root, 2 * nodes);
    this.#classes = [];
    fuse(drafted, kept, union, (twins) => {
      const index = classOf(drafted, kept, twins);
      this.#classes.push(index);
      return this.#odds.probs[index]!;
    });
    pruneToBudget(union, nodes, tree);
  }

  observe(outcome: StepOutcome): void {
    const union = this.#union.tree;
    let node: NodeIndex = 0;
    for (let i = 0; i < outcome.path.length && node >= 0; i++) {
      const picked = pickedAt(outcome, i);
      for (const child of union.children(node)) {
        this.#odds.observe(this.#classes[child - 1]!, union.tokens[child] === picked);
      }
      node = union.child(node, picked);
    }
    // A step without a draft learns nothing from the one before.
    union.truncate(1);
  }
}

function classOf(a: DraftTree, b: DraftTree, { inA, inB, parentInA, parentInB }: Twins): number {
  return AgreementOdds.classOf(opinion(a, inA, parentInA), opinion(b, inB, parentInB));
}

function opinion(tree: DraftTree, node: NodeIndex, parent: NodeIndex): Opinion {
  if (node >= 0) return tree.probs[node]!;
  return parent >= 0 && !tree.children(parent).next().done ? "other tokens" : "nothing";
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

const SILENT: Drafter = {
  name: "silent",
  rows: { pass: 0, prompt: 0 },
  begin() {},
  expand: (_tree, nodes) => nodes.map(() => ({ tokens: [], probs: [] })),
  observe() {},
};

/** Hears what a drafter says of the root. */
class Listener implements Drafter {
  readonly name = "listener";
  readonly rows = { pass: 0, prompt: 0 };
  readonly #drafter: Drafter;
  first: Candidates | undefined;

  constructor(drafter: Drafter) {
    this.#drafter = drafter;
  }

  begin(): void {}
  observe(): void {}

  async expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Promise<Candidates[]> {
    const answers = await this.#drafter.expand(tree, nodes, width);
    if (nodes[0] === 0) this.first = answers[0];
    return answers;
  }
}
