/**
 * @file The target's own first layers and one trained block as a drafter (EESD, arXiv:2406.03853): what the target thinks after them is
 * enough to guess what it says next.
 *
 * Whatever it is asked about runs through the first layers in the target's own cache, so that verification runs the others alone; then
 * through the block, whose rows are those of the text's positions. Rows of accepted tokens stay as they are: their states were the
 * target's own.
 */

import type { ExitBlock } from "../target/exit-block.ts";
import type { Pass, TargetSequence } from "../target/target.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, Position, TokenId } from "../types.ts";
import { Answers, NOTHING } from "./answers.ts";
import type { Calibration } from "./calibrate.ts";
import type { Coupling } from "./coupling.ts";
import type { Candidates, Drafter, StepOutcome } from "./drafter.ts";
import { HeadRows } from "./head-rows.ts";
import type { PenaltyForecast } from "./penalties.ts";
import { PendingDraft } from "./pending.ts";

export class ExitDrafter implements Drafter {
  readonly name = "exit";
  readonly rows = { pass: 0, prompt: 0 };
  readonly #block: ExitBlock;
  readonly #sequence: TargetSequence;
  readonly #longest: number;
  readonly #rows: HeadRows;
  /** In the block: new rows of the text, root last, and nodes behind them. */
  readonly #pending: PendingDraft;
  /** In the target: the root and the same nodes. */
  readonly #tree: DraftTree;
  readonly #answers: Answers;
  #passes = 0;
  #off = false;

  /**
   * Drafts for the text in `sequence`, of at most `contextLength` tokens. `odds`, from {@link modelOdds}: how often the target agrees;
   * without, probabilities are the block's.
   */
  constructor(block: ExitBlock, sequence: TargetSequence, contextLength: number, odds?: Calibration) {
    this.#block = block;
    this.#sequence = sequence;
    this.#longest = Math.min(contextLength, sequence.capacity);
    this.#rows = new HeadRows(block, this.#longest, 0);
    this.#pending = new PendingDraft(block.maxNodes);
    this.#tree = new DraftTree(0, block.maxNodes);
    this.#answers = new Answers(odds);
  }

  get taps(): readonly number[] {
    return this.#block.taps;
  }

  get passes(): number {
    return this.#passes;
  }

  /** As of the latest step. */
  get off(): string | undefined {
    return this.#off ? "off: a text that drafts with the first layers shares no passes" : undefined;
  }

  async load(): Promise<void> {
    await this.#block.load?.();
  }

  resume(tokens: readonly TokenId[]): number {
    this.#pending.end();
    return this.#rows.resume(tokens);
  }

  begin(): void {}

  couple(coupling: Coupling | undefined, penalties?: PenaltyForecast): void {
    this.#answers.coupling = coupling;
    this.#answers.penalties = penalties;
  }

  async observePrompt(_tokens: readonly TokenId[], pass: Pass, position: Position): Promise<void> {
    await this.#rows.observePrompt(pass, position);
  }

  async expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Promise<Candidates[]> {
    if (!this.#pending.begun) {
      // While other texts want the target too, passes that all share gain more than drafts that none can.
      this.#off = this.#sequence.crowded === true;
      if (this.#off) return nodes.map(() => NOTHING);
    }
    if (!this.#pending.begun) await this.#start(width);
    await this.#run(tree, nodes, width);
    return nodes.map((node) => this.#answers.at(this.#pending.at(node)));
  }

  async observe(outcome: StepOutcome): Promise<void> {
    const pending = this.#pending;
    let done = 0;
    if (pending.begun) {
      const places = pending.follow(outcome);
      this.#answers.learn(outcome, places);
      this.#rows.commit([...pending.tree.path(pending.root), ...places.slice(1)]);
      done = places.length;
      pending.end();
    }
    await this.#rows.observe(outcome, done);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rows[Symbol.asyncDispose]();
  }

  /** Runs the root, and with it what is new in the text. */
  async #start(width: number): Promise<void> {
    await this.#rows.catchUp();
    const { text, sequence } = this.#rows;
    this.#answers.clear();
    this.#tree.reset(text.at(-1)!);
    const root = await this.#sequence.forwardFirst(this.#tree, this.#block.exitLayer);
    this.#pending.begin(text, this.#rows.next, this.#longest - text.length);
    const input = this.#rows.features(root);
    const { tree } = this.#pending;
    const { topK, noise } = this.#lists(width);
    const pass = await sequence.forward({
      tree,
      first: 0,
      input,
      from: "target",
      topK,
      noise,
      lastOnly: true,
    });
    this.#passes++;
    this.#answers.note(this.#pending.root, pass, 0, { depth: 0, width });
  }

  #lists(width: number) {
    return this.#answers.lists(width, this.#block.draftVocab.length, this.#rows.ahead);
  }

  /** Runs those of the nodes, and of those above them, that have not run. */
  async #run(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Promise<void> {
    const { root, tree: drafted } = this.#pending;
    const first = drafted.size;
    for (const node of nodes) this.#pending.put(tree, node);
    if (drafted.size === first) return;
    for (let place = first; place < drafted.size; place++)
      this.#tree.push(drafted.parents[place]! - root, drafted.tokens[place]!, 1);
    const input = await this.#sequence.forwardFirst(this.#tree, this.#block.exitLayer, first - root);
    const { topK, noise } = this.#lists(width);
    const pass = await this.#rows.sequence.forward({
      tree: drafted,
      first,
      input,
      from: "target",
      topK,
      noise,
    });
    this.#passes++;
    for (let place = first; place < drafted.size; place++)
      this.#answers.note(place, pass, place - first, { depth: this.#pending.depth(place), width });
  }
}
