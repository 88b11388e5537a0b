/**
 * @file Whose turn it is with a target. Texts that are decoded share every pass; between two passes one prompt is read on, by a chunk
 * that keeps nobody waiting for long. Nobody's rows depend on who else is there, so all that is decided here is time.
 *
 * This is continuous batching (Orca, OSDI 2022) with chunked prefill (arXiv:2308.16369), without a batch: whoever decodes a text
 * calls forward as if it were alone, and trees that wait at the same time go together.
 */

import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { ALONE, type Company, type PassPart } from "./company.ts";
import { PromptQueue } from "./prompt-queue.ts";
import { narrow, together } from "./shared-want.ts";
import type { Pass, PrefillOptions, Target, TargetSequence, Want } from "./target.ts";

/** Trees of one pass. */
const MOST_TREES = 64;
/** A chunk of a prompt takes as long as so many passes of those who decode meanwhile: with the pass itself, nobody waits longer than 4. */
const CHUNK_PASSES = 2;
/** A pass waits for who is usually there at once, for this part of its time. */
const PATIENCE = 0.25;
/** Passes after which nobody minds who is away: neither chunks of prompts nor passes. */
const GONE = 4;
/** What the latest time counts in a running mean. */
const NEWEST = 1 / 8;

/** A text that takes part. */
export interface Member {
  readonly sequence: TargetSequence;
  /**
   * Where it is while it is decoded: its reader has its tokens ("away"), it drafts, it waits for a pass or is in one, or it is in one of its
   * own ("apart"). "idle" before and after.
   */
  state: "idle" | "away" | "drafting" | "waiting" | "running" | "apart";
  /** When it went away, by performance.now(). */
  since: number;
  /** It was away for so long that passes do not wait for it. */
  late: boolean;
  company: Company;
}

/** A tree that waits for a pass. */
interface Waiting {
  readonly member: Member;
  readonly tree: DraftTree;
  readonly want: Want;
  readonly first: NodeIndex;
  readonly resolve: (pass: Pass) => void;
  readonly reject: (error: unknown) => void;
}

export class Rounds {
  readonly #target: Target;
  readonly #onPass: (parts: readonly PassPart[], ms: number) => void;
  /** Those that are being decoded. */
  readonly #members = new Set<Member>();
  #waiting: Waiting[] = [];
  readonly #prompts = new PromptQueue();
  #running = false;
  #wake: (() => void) | undefined;
  /** Milliseconds of a pass, a running mean; 0 before the first one. */
  #passMs = 0;

  constructor(target: Target, onPass: (parts: readonly PassPart[], ms: number) => void) {
    this.#target = target;
    this.#onPass = onPass;
  }

  /** A forward of `member` follows as soon as its draft is made. */
  announce(member: Member): void {
    if (member.state === "away") member.late = performance.now() - member.since > PATIENCE * this.#passMs;
    member.state = "drafting";
    this.#members.add(member);
  }

  /** `member` runs a part of the layers ahead: it shares no pass until {@link release}, and nobody waits for it. */
  apart(member: Member): void {
    this.#rest(member);
    member.state = "apart";
    member.company = ALONE;
    this.#members.add(member);
    this.#wake?.();
  }

  /** Others than `member` want the target too. */
  crowded(member: Member): boolean {
    return this.#prompts.length > 0 || this.#hasOthers(member);
  }

  /** Whether there are others, but for those whose readers have left them standing for a while. */
  #hasOthers(member: Member): boolean {
    if (this.#members.size === (this.#members.has(member) ? 1 : 0)) return false;
    const since = performance.now() - GONE * this.#passMs;
    for (const other of this.#members)
      if (other !== member && (other.state !== "away" || other.since > since)) return true;
    return false;
  }

  /** `member` is not decoded any more, or not for now. */
  leave(member: Member): void {
    member.state = "idle";
    member.late = false;
    if (this.#members.delete(member)) this.#wake?.();
  }

  async forward(member: Member, tree: DraftTree, want: Want, first: NodeIndex): Promise<Pass> {
    if (member.state !== "drafting") this.announce(member);
    if (!this.#running && !this.#hasOthers(member)) return this.#alone(member, tree, want, first);
    member.state = "waiting";
    return new Promise((resolve, reject) => {
      this.#waiting.push({ member, tree, want, first, resolve, reject });
      this.#go();
    });
  }

  /** Reads a prompt to its end, behind those that came before it. */
  async prefill(member: Member, tokens: readonly TokenId[], options: PrefillOptions): Promise<void> {
    this.leave(member);
    const read = this.#prompts.add(member.sequence, tokens, options);
    this.#go();
    await read;
    // Its first pass comes before the next chunk of another prompt.
    this.#members.add(member);
    this.#rest(member);
  }

  /** Rounds until nobody waits. */
  async #go(): Promise<void> {
    if (this.#running) return this.#wake?.();
    this.#running = true;
    while (this.#waiting.length + this.#prompts.length > 0) {
      await this.#gather();
      if (this.#prompts.length > 0) {
        // Here and not behind the pass, whose tokens have come to their readers by now: while a chunk takes all cores, they would come late.
        await this.#prompts.read(this.#target.maxNodes, this.#chunkMs());
        await this.#gather();
      }
      await this.#pass();
    }
    this.#running = false;
  }

  /** Waits for the members whose trees are about to come. */
  async #gather(): Promise<void> {
    while ([...this.#members].some(({ state }) => state !== "waiting" && state !== "apart")) {
      // Who goes on at once has come when other events have had their turn.
      await new Promise<void>((resolve) => setImmediate(resolve));
      let patience = 0;
      for (const { state, late, since } of this.#members) {
        if (state === "drafting" || state === "running") patience = Number.POSITIVE_INFINITY;
        else if (state === "away" && !late)
          patience = Math.max(patience, PATIENCE * this.#passMs - (performance.now() - since));
      }
      // Less than timers can count is not waited for.
      if (patience < 1) return;
      await this.#changed(patience);
    }
  }

  /** Resolves when somebody came or left, or after `ms` milliseconds. */
  async #changed(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (ms < Number.POSITIVE_INFINITY) timer = setTimeout(resolve, ms);
    });
    this.#wake = undefined;
    clearTimeout(timer);
  }

  /** One text without company: its pass starts at once. */
  async #alone(member: Member, tree: DraftTree, want: Want, first: NodeIndex): Promise<Pass> {
    const start = performance.now();
    member.state = "running";
    member.company = ALONE;
    try {
      return await member.sequence.forward(tree, want, first);
    } finally {
      this.#passMs = mean(this.#passMs, performance.now() - start);
      this.release(member);
      this.#wake?.();
    }
  }

  /** One pass over the trees that wait, as many as it takes; the others wait on. */
  async #pass(): Promise<void> {
    const batch = this.#take();
    if (batch.length === 0) return;
    const start = performance.now();
    for (const { member } of batch) member.state = "running";
    const passes = await this.#shared(batch);
    for (const [i, { member, tree, want, first, resolve, reject }] of batch.entries()) {
      try {
        const pass = passes ? narrow(passes[i]!, want) : await member.sequence.forward(tree, want, first);
        this.release(member);
        resolve(pass);
      } catch (error) {
        this.release(member);
        reject(error);
      }
    }
    this.#passMs = mean(this.#passMs, performance.now() - start);
  }

  #take(): Waiting[] {
    const batch: Waiting[] = [];
    let rows = 0;
    for (const waiting of this.#waiting) {
      rows += waiting.tree.size - waiting.first;
      if (batch.length > 0 && (rows > this.#target.maxNodes || batch.length === MOST_TREES)) break;
      batch.push(waiting);
    }
    this.#waiting = this.#waiting.slice(batch.length);
    return batch;
  }

  /** The rows of all trees out of one pass; undefined when each has to be run alone. */
  async #shared(batch: readonly Waiting[]): Promise<Pass[] | undefined> {
    for (const { member } of batch) member.company = ALONE;
    if (batch.length === 1 || !this.#target.forwardAll) return undefined;
    const start = performance.now();
    const trees = batch.map(({ member, tree, first, want }) => {
      return { sequence: member.sequence, tree, first, pick: want.pick, penalties: want.penalties };
    });
    let passes: Pass[];
    try {
      passes = await this.#target.forwardAll(trees, together(batch.map(({ want }) => want)));
    } catch {
      // One of them is to blame, and is told when it runs alone.
      return undefined;
    }
    const ms = performance.now() - start;
    const parts = passes.map(({ size }, i) => ({ rows: size, length: batch[i]!.member.sequence.length }));
    const sum = (of: (part: PassPart) => number) => parts.reduce((all, part) => all + of(part), 0);
    const [rows, length] = [sum((part) => part.rows), sum((part) => part.length)];
    for (const [i, { member }] of batch.entries()) {
      const own = parts[i]!;
      member.company = { texts: batch.length - 1, rows: rows - own.rows, length: length - own.length };
    }
    this.#onPass(parts, ms);
    return passes;
  }

  /** What `member` waited for is done. */
  #rest(member: Member): void {
    member.state = "away";
    member.since = performance.now();
  }

  /** Unless it has left meanwhile. */
  release(member: Member): void {
    if (member.state === "running" || member.state === "apart") this.#rest(member);
  }

  /** What a chunk of a prompt may take. */
  #chunkMs(): number {
    const now = performance.now();
    const decoding = [...this.#members].some(
      ({ state, since }) => (state !== "away" && state !== "apart") || now - since < GONE * this.#passMs,
    );
    return decoding ? CHUNK_PASSES * this.#passMs : Number.POSITIVE_INFINITY;
  }
}

function mean(old: number, newest: number): number {
  return old === 0 ? newest : old + (newest - old) * NEWEST;
}
