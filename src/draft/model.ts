/**
 * @file A smaller model of the target's vocabulary as a drafter, as in OPT-Tree's experiments (arXiv:2406.17276): its likely
 * tokens are its candidates.
 *
 * It reads the text into a cache of its own. In a step, what is new in the text goes first, the root last; the nodes it is asked
 * about are read on top of that, each once, all of one call in one pass.
 */

import type { ChainAhead, Target, TargetSequence } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { Answers, NOTHING } from "./answers.ts";
import type { Calibration } from "./calibrate.ts";
import type { Coupling } from "./coupling.ts";
import { type Candidates, type Drafter, type Outlook, pickedAt, type StepOutcome } from "./drafter.ts";
import { PendingDraft } from "./pending.ts";

/** New tokens of the text beyond this are read in passes of their own, so that nodes find room in the step's. */
const CATCH_UP = 32;

export class ModelDrafter implements Drafter {
  readonly name = "model";
  readonly rows = { pass: 0, prompt: 0 };
  readonly mayRest = true;
  readonly #model: Target;
  #sequence: TargetSequence | undefined;
  /** All of the text, root included. The sequence has committed a part of it, from the start. */
  #text: TokenId[] = [];
  readonly #pending: PendingDraft;
  readonly #answers: Answers;
  #passes = 0;
  #resting = false;

  /** `odds`, from {@link modelOdds}: how often the target agrees; without, probabilities are the model's. */
  constructor(model: Target, odds?: Calibration) {
    this.#model = model;
    this.#pending = new PendingDraft(model.maxNodes);
    this.#answers = new Answers(odds);
  }

  get passes(): number {
    return this.#passes;
  }

  /** While it rests, a text is read when it is first asked about. */
  async begin(tokens: readonly TokenId[], signal?: AbortSignal): Promise<void> {
    const sequence = this.#sequence;
    this.#pending.end();
    sequence?.rollback();
    let same = 0;
    const most = Math.min(sequence?.length ?? 0, tokens.length - 1);
    while (same < most && this.#text[same] === tokens[same]) same++;
    if (sequence && same < sequence.length) sequence.truncate(same);
    this.#text = [...tokens];
    if (!this.#resting) await this.#read(await this.#open(), signal);
  }

  couple(coupling: Coupling | undefined): void {
    this.#answers.coupling = coupling;
  }

  rest(resting: boolean): void {
    this.#resting = resting;
  }

  expand(
    tree: DraftTree,
    nodes: readonly NodeIndex[],
    width: number,
    outlook?: Outlook,
  ): Candidates[] | Promise<Candidates[]> {
    const pending = this.#pending;
    const first = pending.begun ? pending.tree.size : 0;
    if (first > 0) for (const node of nodes) pending.put(tree, node);
    if (first > 0 && pending.tree.size === first) return this.#said(nodes);
    return this.#ask(tree, nodes, width, first, outlook);
  }

  observe(outcome: StepOutcome): void {
    const { path } = outcome;
    const pending = this.#pending;
    if (pending.begun) {
      // What it has read of the new text need not be read again.
      const read = pending.follow(outcome);
      this.#answers.learn(outcome, read);
      this.#sequence!.commit([...pending.tree.path(pending.root), ...read.slice(1)]);
      pending.end();
    }
    for (let i = 0; i < path.length; i++) this.#text.push(pickedAt(outcome, i));
  }

  #said(nodes: readonly NodeIndex[]): Candidates[] {
    return nodes.map((node) => this.#answers.at(this.#pending.at(node)));
  }

  /** Reads the nodes that were put from place `first` on; with the step's first, what is new in the text. */
  async #ask(
    tree: DraftTree,
    nodes: readonly NodeIndex[],
    width: number,
    first: NodeIndex,
    outlook: Outlook | undefined,
  ): Promise<Candidates[]> {
    const pending = this.#pending;
    if (first === 0) {
      if (!(await this.#start())) return nodes.map(() => NOTHING);
      for (const node of nodes) pending.put(tree, node);
    }
    const sequence = this.#sequence!;
    const topK = this.#answers.topK(width, this.#model.vocabSize);
    const newest = pending.tree.size - 1;
    if (
      sequence.forwardChain &&
      !sequence.crowded &&
      nodes.length === 1 &&
      pending.at(nodes[0]!) === newest
    ) {
      const pass = await sequence.forwardChain(pending.tree, topK, this.#ahead(newest, outlook), first);
      this.#passes += pass.size;
      pending.ahead = pass.size > 1;
      const depth = tree.depths[nodes[0]!]!;
      for (let i = 0; i < pass.size; i++)
        this.#answers.note(newest + i, pass, i, { depth: depth + i, width });
    } else if (newest >= first) {
      const pass = await sequence.forward(pending.tree, { topK }, first);
      this.#passes++;
      for (const node of nodes) {
        const place = pending.at(node)!;
        if (place >= first)
          this.#answers.note(place, pass, place - first, { depth: tree.depths[node]!, width });
      }
    }
    return this.#said(nodes);
  }

  /** Of a sampled text, whose noise decides which candidate comes first, one question is answered at a time. */
  #ahead(place: NodeIndex, outlook: Outlook | undefined): ChainAhead {
    if (!outlook || this.#answers.coupling) return { levels: 0, worth: 0 };
    return {
      levels: Math.max(0, Math.min(outlook.levels, this.#pending.roomBelow(place))),
      worth: outlook.worth,
      odds: this.#answers.chainOdds,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sequence?.[Symbol.asyncDispose]();
  }

  async #open(): Promise<TargetSequence> {
    this.#sequence ??= await this.#model.createSequence({ capacity: this.#model.contextLength });
    return this.#sequence;
  }

  /** Commits the text but for the root; nothing when it is too long for this model. */
  async #read(sequence: TargetSequence, signal?: AbortSignal): Promise<void> {
    if (this.#text.length > sequence.capacity) return;
    await sequence.prefill(this.#text.slice(sequence.length, -1), signal && { signal });
  }

  /** Takes the new part of the text; false when the text is too long for this model. */
  async #start(): Promise<boolean> {
    const sequence = await this.#open();
    if (this.#text.length > sequence.capacity) return false;
    if (this.#text.length - sequence.length > CATCH_UP) await this.#read(sequence);
    this.#answers.clear();
    this.#pending.begin(this.#text, sequence.length, sequence.capacity - this.#text.length);
    return true;
  }
}
