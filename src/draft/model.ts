/**
 * @file A smaller model of the target's vocabulary as a drafter, as in OPT-Tree's experiments (arXiv:2406.17276): its likely
 * tokens are its candidates.
 *
 * It reads the text into a cache of its own. In a step, what is new in the text goes first, the root last; the nodes it is asked
 * about are read on top of that, each once, all of one call in one pass.
 */

import type { ChainAhead, Pass, PassAside, Target, TargetSequence } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { Answers, NOTHING } from "./answers.ts";
import type { Calibration } from "./calibrate.ts";
import type { Coupling } from "./coupling.ts";
import { type Candidates, type Drafter, type Outlook, pickedAt, type StepOutcome } from "./drafter.ts";
import type { PenaltyForecast } from "./penalties.ts";
import { PendingDraft } from "./pending.ts";

/** New tokens of the text beyond this are read in passes of their own, so that nodes find room in the step's. */
const CATCH_UP = 32;

interface Question {
  readonly width: number;
  readonly outlook: Outlook | undefined;
}

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
  /** The first question of the latest step; undefined: there was none. */
  #asked: Question | undefined;
  /** The answer to the same about the next, where it is on its way. */
  #coming: { readonly pass: PassAside; readonly width: number } | undefined;
  #came: Drafter["ahead"];

  /** `odds`, from {@link modelOdds}: how often the target agrees; without, probabilities are the model's. */
  constructor(model: Target, odds?: Calibration) {
    this.#model = model;
    this.#pending = new PendingDraft(model.maxNodes);
    this.#answers = new Answers(odds);
  }

  get ahead(): Drafter["ahead"] {
    return this.#came;
  }

  get passes(): number {
    return this.#passes;
  }

  /** While it rests, a text is read when it is first asked about. */
  async begin(tokens: readonly TokenId[], signal?: AbortSignal): Promise<void> {
    const sequence = this.#sequence;
    this.#asked = undefined;
    this.#end();
    this.#pending.end();
    sequence?.rollback();
    let same = 0;
    const most = Math.min(sequence?.length ?? 0, tokens.length - 1);
    while (same < most && this.#text[same] === tokens[same]) same++;
    if (sequence && same < sequence.length) sequence.truncate(same);
    this.#text = [...tokens];
    if (!this.#resting) await this.#read(await this.#open(), signal);
  }

  couple(coupling: Coupling | undefined, penalties?: PenaltyForecast): void {
    this.#answers.coupling = coupling;
    this.#answers.penalties = penalties;
  }

  rest(resting: boolean): void {
    this.#resting = resting;
    if (resting) this.#asked = undefined;
  }

  expand(
    tree: DraftTree,
    nodes: readonly NodeIndex[],
    width: number,
    outlook?: Outlook,
  ): Candidates[] | Promise<Candidates[]> {
    const pending = this.#pending;
    this.#asked ??= { width, outlook };
    const usual = this.#coming?.width === width;
    const came = this.#end();
    if (came && usual) this.#note(came, pending.root, { depth: 0, width });
    else if (came) {
      this.#sequence!.rollback();
      pending.end();
    }
    const first = pending.begun ? pending.tree.size : 0;
    if (first > 0) for (const node of nodes) pending.put(tree, node);
    if (first > 0 && pending.tree.size === first) return this.#said(nodes);
    return this.#ask(tree, nodes, width, first, outlook);
  }

  observe(outcome: StepOutcome): void {
    const { path } = outcome;
    const pending = this.#pending;
    const asked = this.#asked;
    this.#asked = undefined;
    this.#end();
    this.#came = undefined;
    if (pending.begun) {
      // What it has read of the new text need not be read again.
      const read = pending.follow(outcome);
      this.#answers.learn(outcome, read);
      this.#sequence!.commit([...pending.tree.path(pending.root), ...read.slice(1)]);
      pending.end();
    }
    for (let i = 0; i < path.length; i++) this.#text.push(pickedAt(outcome, i));
    // Who was asked is going to be asked again.
    if (asked) this.#begin(asked);
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
      this.#note(pass, newest, { depth: tree.depths[nodes[0]!]!, width });
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

  /** What a pass says about the node at `place` and the chain below. */
  #note(pass: Pass, place: NodeIndex, { depth, width }: { depth: number; width: number }): void {
    this.#passes += pass.size;
    this.#pending.ahead = pass.size > 1;
    for (let i = 0; i < pass.size; i++) this.#answers.note(place + i, pass, i, { depth: depth + i, width });
  }

  /** Asks the first question of the next step, to be answered beside what comes before. */
  #begin({ width, outlook }: Question): void {
    const sequence = this.#sequence!;
    const pending = this.#pending;
    const length = this.#text.length;
    if (!sequence.beginChain || length > sequence.capacity || length - sequence.length > CATCH_UP) return;
    this.#answers.clear();
    pending.begin(this.#text, sequence.length, sequence.capacity - length);
    const topK = this.#answers.topK(width, this.#model.vocabSize);
    const pass = sequence.beginChain(pending.tree, topK, this.#ahead(pending.root, outlook));
    if (pass) this.#coming = { pass, width };
    else pending.end();
  }

  /** Waits for the answer that is on its way. */
  #end(): Pass | undefined {
    const aside = this.#coming?.pass;
    if (!aside) return undefined;
    this.#coming = undefined;
    const pass = aside.end();
    this.#came = { questions: pass.size, ms: aside.ms };
    return pass;
  }

  /** Where noise or penalties decide which candidate comes first, one question is answered at a time. */
  #ahead(place: NodeIndex, outlook: Outlook | undefined): ChainAhead {
    if (!outlook || this.#answers.coupling || this.#answers.penalties) return { levels: 0, worth: 0 };
    return {
      levels: Math.max(0, Math.min(outlook.levels, this.#pending.roomBelow(place))),
      worth: outlook.worth,
      odds: this.#answers.chainOdds,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
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
