/**
 * @file A smaller model of the target's vocabulary as a drafter, as in OPT-Tree's experiments (arXiv:2406.17276): its likely
 * tokens are its candidates. With odds, they are as likely as tokens of that rank and probability have turned out to be: a target
 * that always takes its first choice agrees with the model's first one more often than the model's probability says.
 *
 * It reads the text into a cache of its own. In a step, what is new in the text goes first, the root last; the nodes it is asked
 * about are read on top of that, each once, all of one call in one pass.
 */

import type { Target, TargetSequence } from "../target/target.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { Calibration } from "./calibrate.ts";
import { type Candidates, type Drafter, pickedAt, type StepOutcome } from "./drafter.ts";

/** New tokens of the text beyond this are read in passes of their own, so that nodes find room in the step's. */
const CATCH_UP = 32;
const NOTHING: Candidates = { tokens: [], probs: [] };
/** Classes of probability, for first candidates and for all others. */
const CLASSES = 16;

/** How often the target takes a candidate: at first as often as the model says. Texts of one target may share it. */
export function modelOdds(): Calibration {
  const middles = Array.from({ length: CLASSES }, (_, i) => (i + 0.5) / CLASSES);
  return new Calibration([...middles, ...middles]);
}

function classOf(prob: number, rank: number): number {
  return Math.min(CLASSES - 1, Math.floor(prob * CLASSES)) + (rank === 0 ? 0 : CLASSES);
}

/** What was answered about a node: candidates, and the classes of their odds. */
interface Answer {
  readonly tokens: readonly TokenId[];
  readonly classes: readonly number[];
}
const NO_ANSWER: Answer = { tokens: [], classes: [] };

export class ModelDrafter implements Drafter {
  readonly name = "model";
  readonly rows = { pass: 0, prompt: 0 };
  readonly #model: Target;
  #sequence: TargetSequence | undefined;
  /** All of the text, root included. The sequence has committed a part of it, from the start. */
  #text: TokenId[] = [];
  /** What is pending in the sequence: a chain of what was new in the text, root last, then the nodes asked about. */
  readonly #pending: DraftTree;
  /** In `#pending`, the nodes of the tree that is grown; none before the step's first question. */
  readonly #places: NodeIndex[] = [];
  /** By node of `#pending`, for those asked about. */
  readonly #answers: (Answer | undefined)[] = [];
  readonly #odds: Calibration | undefined;
  #passes = 0;

  /** `odds`, from {@link modelOdds}: how often the target agrees; without, probabilities are the model's. */
  constructor(model: Target, odds?: Calibration) {
    this.#model = model;
    this.#odds = odds;
    this.#pending = new DraftTree(0, model.maxNodes);
  }

  get passes(): number {
    return this.#passes;
  }

  async begin(tokens: readonly TokenId[], signal?: AbortSignal): Promise<void> {
    this.#sequence ??= await this.#model.createSequence({ capacity: this.#model.contextLength });
    const sequence = this.#sequence;
    this.#places.length = 0;
    sequence.rollback();
    let same = 0;
    const most = Math.min(sequence.length, tokens.length - 1);
    while (same < most && this.#text[same] === tokens[same]) same++;
    if (same < sequence.length) sequence.truncate(same);
    this.#text = [...tokens];
    await this.#read(signal);
  }

  async expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Promise<Candidates[]> {
    const pending = this.#pending;
    const first = this.#places.length === 0 ? 0 : pending.size;
    if (first === 0 && !(await this.#start())) return nodes.map(() => NOTHING);
    for (const node of nodes) this.#place(tree, node);
    if (pending.size === first) return nodes.map(() => NOTHING);
    const topK = Math.min(width, this.#model.vocabSize);
    const pass = await this.#sequence!.forward(pending, { topK }, first);
    this.#passes++;
    return nodes.map((node) => {
      const place = this.#places[node] ?? -1;
      const row = place - first;
      if (row < 0) return NOTHING;
      const tokens = Array.from(pass.tokens.subarray(row * topK, (row + 1) * topK));
      const probs = Array.from(pass.logProbs.subarray(row * topK, (row + 1) * topK), Math.exp);
      const odds = this.#odds;
      if (odds === undefined) return { tokens, probs };
      const classes = probs.map(classOf);
      this.#answers[place] = { tokens, classes };
      return { tokens, probs: classes.map((index) => odds.probs[index]!) };
    });
  }

  observe(outcome: StepOutcome): void {
    const { path, tree } = outcome;
    if (this.#places.length > 0) {
      // What it has read of the new text need not be read again.
      const read = this.#pending.path(this.#places[0]!);
      const root = read.length - 1;
      for (let i = 1; i < path.length; i++) {
        const node = this.#pending.child(read.at(-1)!, tree.tokens[path[i]!]!);
        if (node < 0) break;
        read.push(node);
      }
      for (const [i, node] of read.slice(root).entries()) this.#learn(node, pickedAt(outcome, i));
      this.#sequence!.commit(read);
      this.#places.length = 0;
    }
    for (let i = 0; i < path.length; i++) this.#text.push(pickedAt(outcome, i));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sequence?.[Symbol.asyncDispose]();
  }

  /** Commits the text but for the root; nothing when it is too long for this model. */
  async #read(signal?: AbortSignal): Promise<void> {
    const sequence = this.#sequence!;
    if (this.#text.length > sequence.capacity) return;
    await sequence.prefill(this.#text.slice(sequence.length, -1), signal && { signal });
  }

  /** Counts which candidates of a node the target took; none were given for nodes not asked about, or without odds. */
  #learn(place: NodeIndex, picked: TokenId): void {
    const { tokens, classes } = this.#answers[place] ?? NO_ANSWER;
    for (const [rank, index] of classes.entries()) this.#odds?.observe(index, tokens[rank] === picked);
  }

  /** Puts the new part of the text into `#pending`; false when the text is too long for this model. */
  async #start(): Promise<boolean> {
    const sequence = this.#sequence!;
    if (this.#text.length > sequence.capacity) return false;
    if (this.#text.length - sequence.length > CATCH_UP) await this.#read();
    const pending = this.#pending;
    pending.reset(this.#text[sequence.length]!);
    this.#answers.length = 0;
    for (let at = sequence.length + 1; at < this.#text.length; at++) {
      pending.push(pending.size - 1, this.#text[at]!, 1);
    }
    this.#places[0] = pending.size - 1;
    return true;
  }

  /** Where `node` is in `#pending`, after putting it there; -1 when it finds no room. */
  #place(tree: DraftTree, node: NodeIndex): NodeIndex {
    const known = this.#places[node];
    if (known !== undefined) return known;
    const parent = this.#place(tree, tree.parents[node]!);
    const room = this.#text.length + tree.depths[node]! <= this.#sequence!.capacity;
    const full = parent < 0 || !room || this.#pending.size === this.#pending.capacity;
    const place = full ? -1 : this.#pending.push(parent, tree.tokens[node]!, 1);
    this.#places[node] = place;
    return place;
  }
}
