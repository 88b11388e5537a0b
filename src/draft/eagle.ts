/**
 * @file A draft head as a drafter (EAGLE, arXiv:2401.15077; fused features as in EAGLE-3, arXiv:2503.01840): from what the target thought
 * at a position and the token behind it, it guesses the token after that.
 *
 * Row i of its cache holds token i + 1 of the text and the target's feature of position i, so the text but for its first token has a row
 * each, the root's the last. In a step the rows that are new run first; then the nodes it is asked about, a level at a time, behind their
 * parents' states in place of features. Those rows are dropped: once accepted, tokens are read again with the target's own features.
 */

import type { DraftHead, HeadSequence } from "../target/draft-head.ts";
import type { Pass } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, Position, TokenId } from "../types.ts";
import { Answers, NOTHING } from "./answers.ts";
import type { Calibration } from "./calibrate.ts";
import { type Candidates, type Drafter, pickedAt, type StepOutcome } from "./drafter.ts";
import { PendingDraft } from "./pending.ts";

/** New rows beyond this are read in passes of their own, so that nodes find room in the step's. */
const CATCH_UP = 16;

export class EagleDrafter implements Drafter {
  readonly name = "eagle";
  readonly rows = { pass: 0, prompt: 0 };
  readonly #head: DraftHead;
  readonly #contextLength: number;
  #sequence: HeadSequence | undefined;
  /** All of the text, root included. */
  #text: TokenId[] = [];
  /** Of the positions whose row is not in the sequence yet, from the first on. */
  #features: Float32Array[] = [];
  readonly #pending: PendingDraft;
  /** By place in `#pending`, what a node's children take for a feature: hiddenSize values each. */
  readonly #states: Float32Array;
  readonly #answers: Answers;
  #passes = 0;

  /**
   * `contextLength`: the longest text, in tokens. `odds`, from {@link modelOdds}: how often the target agrees; without, probabilities are
   * the head's.
   */
  constructor(head: DraftHead, contextLength: number, odds?: Calibration) {
    this.#head = head;
    this.#contextLength = contextLength;
    this.#pending = new PendingDraft(head.maxNodes);
    this.#states = new Float32Array(head.maxNodes * head.hiddenSize);
    this.#answers = new Answers(odds);
  }

  get taps(): readonly number[] {
    return this.#head.taps;
  }

  get passes(): number {
    return this.#passes;
  }

  resume(tokens: readonly TokenId[]): number {
    this.#sequence ??= this.#head.createSequence({ capacity: this.#contextLength });
    const sequence = this.#sequence;
    sequence.rollback();
    this.#pending.end();
    let same = 0;
    while (same < this.#text.length && this.#text[same] === tokens[same]) same++;
    this.#text = [...tokens];
    // The root's row runs in the step that asks for its candidates.
    const rows = Math.max(0, Math.min(same - 1, tokens.length - 2));
    if (rows < sequence.length) {
      sequence.truncate(rows);
      this.#features.length = 0;
    } else {
      const known = Math.min(same, tokens.length - 1) - sequence.length;
      if (known < this.#features.length) this.#features.length = Math.max(0, known);
    }
    return this.#known;
  }

  begin(): void {}

  async observePrompt(_tokens: readonly TokenId[], pass: Pass, position: Position): Promise<void> {
    for (let row = this.#known - position; row < pass.size; row++) this.#keep(pass, row);
    await this.#catchUp();
  }

  async expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Promise<Candidates[]> {
    const topK = Math.min(width, this.#head.draftVocab.length);
    if (!this.#pending.begun && !(await this.#start(topK))) return nodes.map(() => NOTHING);
    await this.#run(tree, nodes, topK);
    return nodes.map((node) => this.#answers.at(this.#pending.at(node)));
  }

  async observe(outcome: StepOutcome): Promise<void> {
    const pending = this.#pending;
    if (pending.begun) {
      this.#answers.learn(outcome, pending.follow(outcome));
      this.#sequence!.commit(pending.tree.path(pending.root));
      this.#features.length = 0;
      pending.end();
    }
    for (const [i, node] of outcome.path.entries()) {
      this.#keep(outcome.pass, node);
      this.#text.push(pickedAt(outcome, i));
    }
    await this.#catchUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sequence?.[Symbol.asyncDispose]();
  }

  /** Positions whose features need not come again. */
  get #known(): number {
    return this.#sequence!.length + this.#features.length;
  }

  /** Keeps the feature of the next position. */
  #keep(pass: Pass, row: NodeIndex): void {
    const feature = new Float32Array(this.#head.featureSize);
    for (const [i, tap] of this.taps.entries()) feature.set(pass.hidden(row, tap), i * this.#head.hiddenSize);
    this.#features.push(feature);
  }

  /** Reads the new rows but for the last when they have become many. */
  async #catchUp(): Promise<void> {
    if (this.#features.length <= CATCH_UP) return;
    const features = this.#features;
    const last = features.pop()!;
    // Should reading fail, their positions are not known any more.
    this.#features = [];
    await this.#sequence!.read(this.#tokens(features.length), joined(features));
    this.#features = [last];
  }

  /** The tokens of the next `rows` rows. */
  #tokens(rows: number): Int32Array {
    const first = this.#sequence!.length + 1;
    return Int32Array.from(this.#text.slice(first, first + rows));
  }

  /** Runs the new rows, root last; false when there is none. */
  async #start(topK: number): Promise<boolean> {
    if (this.#features.length === 0) return false;
    this.#answers.clear();
    const { tree } = this.#pending;
    this.#pending.begin([...this.#tokens(this.#features.length)], this.#contextLength - this.#text.length);
    const pass = await this.#sequence!.forward({
      tree,
      first: 0,
      input: joined(this.#features),
      from: "target",
      topK,
      lastOnly: true,
    });
    this.#passes++;
    this.#states.set(pass.states);
    this.#answers.note(this.#pending.root, pass, 0);
    return true;
  }

  /** Runs those of the nodes that have not run, behind their parents. */
  async #run(tree: DraftTree, nodes: readonly NodeIndex[], topK: number): Promise<void> {
    const pending = this.#pending;
    const isNew = (node: NodeIndex) => pending.at(node) === undefined;
    if (!nodes.some(isNew)) return;
    const parents = nodes.filter(isNew).map((node) => tree.parents[node]!);
    await this.#run(tree, parents, topK);
    const first = pending.tree.size;
    for (const node of nodes) pending.put(tree, node);
    const count = pending.tree.size - first;
    if (count === 0) return;
    const width = this.#head.hiddenSize;
    const input = new Float32Array(count * width);
    for (let i = 0; i < count; i++) {
      const parent = pending.tree.parents[first + i]!;
      input.set(this.#states.subarray(parent * width, (parent + 1) * width), i * width);
    }
    const pass = await this.#sequence!.forward({ tree: pending.tree, first, input, from: "head", topK });
    this.#passes++;
    this.#states.set(pass.states, first * width);
    for (let i = 0; i < count; i++) this.#answers.note(first + i, pass, i);
  }
}

/** Rows one after another. */
function joined(rows: readonly Float32Array[]): Float32Array {
  const size = rows[0]!.length;
  const all = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) all.set(row, i * size);
  return all;
}
