/**
 * @file Token Recycling's memory (arXiv:2408.08696): for every token, the 8 tokens that the target found likeliest after
 * it when it last saw it, at whatever node, accepted or not. Ids only; a step reads the matrix as the step before left it.
 */

import type { Pass } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { Calibration } from "./calibrate.ts";
import { type CandidateList, CandidateLists } from "./candidate-list.ts";
import type { Coupling } from "./coupling.ts";
import { type Candidates, type Drafter, pickedAt, type StepOutcome } from "./drafter.ts";
import type { Learnt, Numbers } from "./learnt.ts";

/** Candidates kept for each token (the paper's k). */
export const RECYCLE_WIDTH = 8;
/** In the first column of a row that was never written. */
const UNSEEN = -1;

/** First guesses at the chance of the best candidate by depth (deeper ones count as the last), and of the others; counting soon replaces them. */
const BEST_PRIORS = [0.3, 0.45, 0.5, 0.55, 0.6, 0.6];
const OTHER_PRIORS = [0.11, 0.05, 0.035, 0.025, 0.02, 0.015, 0.01];

/** Who wrote a row: an earlier text or another one that runs now, this text's prompt, or this text as it was written. */
const ORIGINS = ["others", "prompt", "text"] as const;
const [OTHERS, PROMPT, TEXT] = ORIGINS.map((_, origin) => origin) as [number, number, number];

/** vocabSize x 8 candidates, and how often each rank has been right. */
export class RecycleMatrix {
  readonly vocabSize: number;
  /** Row `token` starts at token * 8; best first. */
  readonly rows: Int32Array;
  /** Class rank + 8 * (depth - 1) + 48 * origin of the row, where depth is the candidate's. */
  readonly odds = new Calibration(
    ORIGINS.flatMap(() => BEST_PRIORS.flatMap((best) => [best, ...OTHER_PRIORS])),
  );
  readonly learnt: Learnt;

  constructor(vocabSize: number) {
    this.vocabSize = vocabSize;
    this.rows = new Int32Array(vocabSize * RECYCLE_WIDTH).fill(UNSEEN);
    this.learnt = {
      "recycle.matrix": { values: this.rows, accepts: (rows) => areRows(rows, vocabSize) },
      "recycle.odds-by-origin": this.odds,
    };
  }

  /** Whether anything is known about what follows `token`. */
  has(token: TokenId): boolean {
    return this.rows[token * RECYCLE_WIDTH] !== UNSEEN;
  }

  /** Overwrites the row of `token` with the first 8 tokens of a pass's row. */
  write(token: TokenId, pass: Pass, node: NodeIndex): void {
    const from = node * pass.k;
    const to = token * RECYCLE_WIDTH;
    for (let rank = 0; rank < RECYCLE_WIDTH; rank++) this.rows[to + rank] = pass.tokens[from + rank]!;
  }
}

export type PromptSeeding = "rows" | "bigrams" | "none";

/** Drafts one text from a matrix that may be shared with other texts. */
export class RecycleDrafter implements Drafter {
  readonly name = "recycle";
  readonly mayMiss = true;
  readonly rows: { readonly pass: number; readonly prompt: number };
  readonly #matrix: RecycleMatrix;
  readonly #seeding: PromptSeeding;
  /** By token, the origin of its row. */
  readonly #origins: Uint8Array;
  readonly #lists = new CandidateLists();
  #coupling: Coupling | undefined;

  /**
   * `seeding` is what the prompt gives: its own pairs of neighbours (default; free), the target's rows (these cost the head
   * at every prompt token and drafted no better where it was measured), or nothing.
   */
  constructor(matrix: RecycleMatrix, seeding: PromptSeeding = "bigrams") {
    this.#matrix = matrix;
    this.#seeding = seeding;
    this.#origins = new Uint8Array(matrix.vocabSize);
    this.rows = { pass: RECYCLE_WIDTH, prompt: seeding === "rows" ? RECYCLE_WIDTH : 0 };
  }

  begin(tokens: readonly TokenId[]): void {
    if (this.#seeding !== "bigrams") return;
    for (let at = 1; at < tokens.length; at++) this.#promote(tokens[at - 1]!, tokens[at]!);
  }

  couple(coupling: Coupling | undefined): void {
    this.#coupling = coupling;
  }

  observePrompt(tokens: readonly TokenId[], pass: Pass): void {
    for (let row = 0; row < tokens.length; row++) this.#write(tokens[row]!, pass, row);
  }

  expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Candidates[] {
    const lists = this.#lists.take(nodes.length);
    for (let i = 0; i < nodes.length; i++)
      this.#list(tree.tokens[nodes[i]!]!, tree.depths[nodes[i]!]!, width, lists[i]!);
    return lists;
  }

  observe(outcome: StepOutcome): void {
    this.#count(outcome);
    this.#learn(outcome);
  }

  #list(token: TokenId, depth: number, width: number, list: CandidateList): void {
    const { rows, odds } = this.#matrix;
    const from = token * RECYCLE_WIDTH;
    const classes = classOf(this.#origins[token]!, depth);
    list.begin();
    const most = this.#coupling ? RECYCLE_WIDTH : Math.min(width, RECYCLE_WIDTH);
    for (let rank = 0; rank < most && rows[from + rank]! !== UNSEEN; rank++)
      list.add(rows[from + rank]!, odds.probs[classes + rank]!);
    list.end();
    list.couple(this.#coupling, depth);
    list.cut(width);
  }

  /** Which rank was right at each node of the path, drafted or not: a small tree must not hide the lower ranks. */
  #count(outcome: StepOutcome): void {
    const { rows, odds } = this.#matrix;
    const { tree, path } = outcome;
    for (let i = 0; i < path.length; i++) {
      const token = tree.tokens[path[i]!]!;
      const from = token * RECYCLE_WIDTH;
      const classes = classOf(this.#origins[token]!, i);
      const picked = pickedAt(outcome, i);
      for (let rank = 0; rank < RECYCLE_WIDTH && rows[from + rank]! !== UNSEEN; rank++) {
        odds.observe(classes + rank, rows[from + rank] === picked);
      }
    }
  }

  /** All rows of the pass, so that of equal tokens the shallowest node's stays, and the accepted path's above all. */
  #learn({ tree, pass, path }: StepOutcome): void {
    let deepest = 0;
    for (let node = 1; node < tree.size; node++) deepest = Math.max(deepest, tree.depths[node]!);
    for (let depth = deepest; depth >= 0; depth--) {
      for (let node = tree.size - 1; node >= 0; node--) {
        if (tree.depths[node] === depth) this.#write(tree.tokens[node]!, pass, node);
      }
    }
    for (const node of path) this.#write(tree.tokens[node]!, pass, node);
  }

  #write(token: TokenId, pass: Pass, node: NodeIndex): void {
    this.#matrix.write(token, pass, node);
    this.#origins[token] = TEXT;
  }

  /** Puts `next` first in the row of `token`. */
  #promote(token: TokenId, next: TokenId): void {
    const { rows } = this.#matrix;
    const from = token * RECYCLE_WIDTH;
    let rank = 0;
    while (rank < RECYCLE_WIDTH - 1 && rows[from + rank] !== next) rank++;
    rows.copyWithin(from + 1, from, from + rank);
    rows[from] = next;
    if (this.#origins[token] === OTHERS) this.#origins[token] = PROMPT;
  }
}

/** Whether each row holds tokens, none of them twice, and nothing behind the last one. */
function areRows(rows: Numbers, vocabSize: number): boolean {
  for (let at = 0; at < rows.length; at++) {
    const token = rows[at]!;
    if (token === UNSEEN) continue;
    if (token < 0 || token >= vocabSize) return false;
    for (let before = at - (at % RECYCLE_WIDTH); before < at; before++)
      if (rows[before] === token || rows[before] === UNSEEN) return false;
  }
  return true;
}

/** The class of rank 0 below a node of `depth`. */
function classOf(origin: number, depth: number): number {
  return (origin * BEST_PRIORS.length + Math.min(depth, BEST_PRIORS.length - 1)) * RECYCLE_WIDTH;
}
