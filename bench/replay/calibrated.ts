/** @file A drafter whose answers are as likely as answers of their kind have turned out to be, as methods have it. */

import { Answers, modelOdds } from "../../src/draft/answers.ts";
import type { Candidates, Drafter } from "../../src/draft/drafter.ts";
import type { Pass } from "../../src/target/target.ts";
import { DraftTree } from "../../src/tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../../src/types.ts";

export class Calibrated implements Drafter {
  readonly name: string;
  readonly rows = { pass: 0, prompt: 0 };
  readonly #drafter: Drafter;
  readonly #answers = new Answers(modelOdds());
  /** The nodes that were asked about in this step, by their paths. */
  readonly #asked = new Map<string, NodeIndex>();

  constructor(drafter: Drafter) {
    this.name = drafter.name;
    this.#drafter = drafter;
  }

  begin(): void {}
  observe(): void {}

  async expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Promise<Candidates[]> {
    const said = await this.#drafter.expand(tree, nodes, width);
    return nodes.map((node, i) => {
      const { tokens, probs } = said[i]!;
      const logProbs = Float32Array.from(probs, Math.log);
      this.#answers.note(node, { k: tokens.length, tokens: Int32Array.from(tokens), logProbs }, 0, {
        depth: tree.depths[node]!,
        width: tokens.length,
      });
      this.#asked.set(pathOf(tree, node), node);
      return this.#answers.at(node);
    });
  }

  /** Ends a step: the target's tokens behind the root were `taken`, all but the last of them drafted. */
  learn(taken: readonly TokenId[]): void {
    const places = [];
    for (let length = 0; length < taken.length; length++) {
      const node = this.#asked.get(taken.slice(0, length).join(" "));
      if (node === undefined) break;
      places.push(node);
    }
    const tree = new DraftTree(0, taken.length);
    for (const token of taken.slice(0, -1)) tree.push(tree.size - 1, token, 1);
    const path = Array.from({ length: taken.length }, (_, node) => node);
    this.#answers.learn({ tree, pass: NO_PASS, path, bonus: taken.at(-1)!, position: 0 }, places);
    this.#answers.clear();
    this.#asked.clear();
  }
}

/** Nobody reads rows here. */
export const NO_PASS: Pass = {
  size: 0,
  k: 0,
  tokens: new Int32Array(0),
  logProbs: new Float32Array(0),
  picks: new Int32Array(0),
  logits: () => new Float32Array(0),
  hidden: () => new Float32Array(0),
};

function pathOf(tree: DraftTree, node: NodeIndex): string {
  return tree
    .path(node)
    .slice(1)
    .map((at) => tree.tokens[at])
    .join(" ");
}
