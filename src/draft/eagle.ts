/**
 * @file A draft head as a drafter (EAGLE, arXiv:2401.15077; fused features as in EAGLE-3, arXiv:2503.01840): from what the target thought
 * at a position and the token behind it, it guesses the token after that.
 *
 * Row i of its cache holds token i + 1 of the text and the target's feature of position i, so the text but for its first token has a row
 * each, the root's the last. In a step the rows that are new run first, as soon as they are known, while others learn from the step before and the text
 * is put out; then the nodes it is asked about, a level at a time, behind their parents' states in place of features. Those rows are dropped: once
 * accepted, tokens are read again with the target's own features.
 */

import type { DraftHead, HeadPass, HeadPassAside } from "../target/draft-head.ts";
import { SpareFloats } from "../target/spare-memory.ts";
import type { Pass } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, Position, TokenId } from "../types.ts";
import { Answers, NOTHING } from "./answers.ts";
import type { Calibration } from "./calibrate.ts";
import type { Coupling } from "./coupling.ts";
import type { Candidates, Drafter, StepOutcome } from "./drafter.ts";
import { HeadRows } from "./head-rows.ts";
import type { PenaltyForecast } from "./penalties.ts";
import { PendingDraft } from "./pending.ts";

export class EagleDrafter implements Drafter {
  readonly name = "eagle";
  readonly rows = { pass: 0, prompt: 0 };
  readonly #head: DraftHead;
  readonly #contextLength: number;
  readonly #rows: HeadRows;
  readonly #pending: PendingDraft;
  /** By place in `#pending`, what a node's children take for a feature, or its parent's while it runs: hiddenSize values each. */
  readonly #states: SpareFloats;
  readonly #answers: Answers;
  #passes = 0;
  /** Candidates that the latest step asked for below a node; 0: it did not ask. */
  #asked = 0;
  /** The new rows, where they run already. */
  #ahead: { readonly pass: HeadPassAside; readonly width: number } | undefined;

  /**
   * `contextLength`: the longest text, in tokens. `odds`, from {@link modelOdds}: how often the target agrees; without, probabilities are
   * the head's.
   */
  constructor(head: DraftHead, contextLength: number, odds?: Calibration) {
    this.#head = head;
    this.#contextLength = contextLength;
    this.#rows = new HeadRows(head, contextLength, 1);
    this.#pending = new PendingDraft(head.maxNodes);
    this.#states = new SpareFloats(head.spare);
    this.#answers = new Answers(odds);
  }

  get taps(): readonly number[] {
    return this.#head.taps;
  }

  names(token: TokenId): boolean {
    return this.#rows.sequence.names(token);
  }

  get passes(): number {
    return this.#passes;
  }

  async load(): Promise<void> {
    await this.#head.load?.();
  }

  resume(tokens: readonly TokenId[], cached: number): number {
    this.#end();
    this.#asked = 0;
    this.#pending.end();
    return this.#rows.resume(tokens, cached);
  }

  begin(): void {}

  couple(coupling: Coupling | undefined, penalties?: PenaltyForecast): void {
    this.#answers.coupling = coupling;
    this.#answers.penalties = penalties;
  }

  rest(resting: boolean): void {
    this.#rows.resting = resting;
  }

  async observePrompt(_tokens: readonly TokenId[], pass: Pass, position: Position): Promise<void> {
    await this.#rows.observePrompt(pass, position);
  }

  async expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Promise<Candidates[]> {
    this.#asked = width;
    const wrong = this.#ahead && this.#ahead.width !== width;
    this.#end();
    if (wrong) this.#pending.end();
    if (!this.#pending.begun && !(await this.#start(width))) return nodes.map(() => NOTHING);
    await this.#run(tree, nodes, width);
    return nodes.map((node) => this.#answers.at(this.#pending.at(node)));
  }

  async observe(outcome: StepOutcome): Promise<void> {
    const pending = this.#pending;
    this.#end();
    const asked = this.#asked;
    this.#asked = 0;
    if (pending.begun) {
      this.#answers.learn(outcome, pending.follow(outcome));
      this.#rows.commit(pending.tree.path(pending.root));
      pending.end();
    }
    await this.#rows.observe(outcome, 0);
    // Who was asked is going to be asked again.
    if (asked > 0) this.#begin(asked, outcome.path.length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
    await this.#rows[Symbol.asyncDispose]();
    this.#states.free();
  }

  /** Runs the new rows, root last; false when there is none. */
  async #start(width: number): Promise<boolean> {
    await this.#rows.catchUp();
    const { waiting, sequence } = this.#rows;
    if (waiting === 0) return false;
    const pass = await sequence.forward(this.#first(width));
    this.#note(pass, width);
    return true;
  }

  /** Runs the new rows beside whatever comes before the first question of the next step. */
  #begin(width: number, rows: number): void {
    const { waiting, sequence } = this.#rows;
    if (waiting !== rows || this.#rows.behind || !sequence.begin) return;
    const pass = sequence.begin(this.#first(width));
    if (pass) this.#ahead = { pass, width };
    else this.#pending.end();
  }

  #end(): void {
    if (!this.#ahead) return;
    const { pass, width } = this.#ahead;
    this.#ahead = undefined;
    this.#note(pass.end(), width);
  }

  #first(width: number) {
    const { text, next } = this.#rows;
    this.#answers.clear();
    this.#pending.begin(text, next, this.#contextLength - text.length);
    const { topK, noise } = this.#lists(width);
    const { tree } = this.#pending;
    return {
      tree,
      first: 0,
      input: this.#rows.features(),
      from: "target",
      topK,
      noise,
      lastOnly: true,
    } as const;
  }

  #note(pass: HeadPass, width: number): void {
    this.#passes++;
    const { root } = this.#pending;
    const size = this.#head.hiddenSize;
    this.#states.reserve((root + 1) * size);
    this.#states.values.set(pass.states, root * size);
    this.#answers.note(root, pass, 0, { depth: 0, width });
  }

  #lists(width: number) {
    return this.#answers.lists(width, this.#head.draftVocab.length, this.#rows.ahead);
  }

  /** Runs those of the nodes that have not run, behind their parents. */
  async #run(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Promise<void> {
    const pending = this.#pending;
    const isNew = (node: NodeIndex) => pending.at(node) === undefined;
    const above = nodes.filter(isNew).map((node) => tree.parents[node]!);
    if (above.some(isNew)) await this.#run(tree, above, width);
    const first = pending.tree.size;
    for (const node of nodes) pending.put(tree, node);
    const count = pending.tree.size - first;
    if (count === 0) return;
    const size = this.#head.hiddenSize;
    this.#states.reserve((first + count) * size);
    const { values } = this.#states;
    for (let place = first; place < first + count; place++) {
      const parent = pending.tree.parents[place]!;
      values.copyWithin(place * size, parent * size, (parent + 1) * size);
    }
    const input = values.subarray(first * size, (first + count) * size);
    const { topK, noise } = this.#lists(width);
    const pass = await this.#rows.sequence.forward({
      tree: pending.tree,
      first,
      input,
      from: "head",
      topK,
      noise,
    });
    this.#passes++;
    input.set(pass.states);
    for (let i = 0; i < count; i++)
      this.#answers.note(first + i, pass, i, { depth: pending.depth(first + i), width });
  }
}
