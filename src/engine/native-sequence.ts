/** @file One text in the native engine's cache. */

import { EspalierError } from "../errors.ts";
import type { ChainAhead, Pass, PassAside, PrefillOptions, TargetSequence, Want } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { type Cache, commitStatus, type PassFailure, type PassTree } from "./binding.ts";
import { FirstPart } from "./first-part.ts";
import { NativePass, Rows } from "./native-pass.ts";
import type { NativeTarget, Work } from "./native-target.ts";

interface ChainWork extends Work {
  readonly chain: NonNullable<Work["chain"]>;
}

export class NativeSequence implements TargetSequence {
  readonly capacity: number;
  readonly cache: Cache;
  readonly #target: NativeTarget;
  #length = 0;
  /** Nodes that have run through the first layers and are pending. */
  #part: FirstPart | undefined;
  /** Those of its newest pass. */
  #rows: Rows | undefined;
  /** What runs aside. */
  #aside: PassAside | undefined;
  #disposed = false;

  constructor(target: NativeTarget, cache: Cache, capacity: number) {
    this.#target = target;
    this.cache = cache;
    this.capacity = capacity;
  }

  get length(): number {
    return this.#length;
  }

  async prefill(tokens: readonly TokenId[], options: PrefillOptions = {}): Promise<void> {
    const { signal, want, onChunk } = options;
    const target = this.#target;
    this.#part = undefined;
    this.checkRoom(tokens.length);
    target.checkTokens(tokens);
    signal?.throwIfAborted();
    const abort = new Int32Array(1);
    const onAbort = () => {
      abort[0] = 1;
    };
    signal?.addEventListener("abort", onAbort);
    try {
      for (let done = 0; done < tokens.length; ) {
        this.#checkAlive();
        const chunk = tokens.slice(done, done + target.maxNodes);
        this.hold(undefined);
        const rows = new Rows(target, chunk.length, want ?? { topK: 0 }, target.spare);
        this.hold(rows);
        await this.#settle(
          target.run({
            rows,
            length: this.#length,
            trees: [
              {
                cache: this.cache,
                tokens: Int32Array.from(chunk),
                parents: Int32Array.from(chunk, (_, i) => i - 1),
                size: chunk.length,
                first: 0,
                pick: want?.pick,
              },
            ],
            abort,
            commit: true,
          }),
          signal,
        );
        this.#length += chunk.length;
        done += chunk.length;
        await onChunk?.({ pass: new NativePass(rows, 0, chunk.length), tokens: chunk, done });
        signal?.throwIfAborted();
      }
    } finally {
      this.hold(undefined);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async forward(tree: DraftTree, want: Want, first = 0): Promise<Pass> {
    const part = this.#part;
    this.#part = undefined;
    if (part && first === 0 && tree.root === part.tree.root) {
      // States before its last layer are not kept: who wants them has all layers run.
      if (!want.taps?.some((tap) => tap < part.layers)) return await this.#forwardRest(part, tree, want);
    }
    const { pick, penalties } = want;
    const [pass] = await this.#target.forwardAll([{ sequence: this, tree, first, pick, penalties }], want);
    return pass!;
  }

  async forwardChain(tree: DraftTree, topK: number, ahead: ChainAhead, first = 0): Promise<Pass> {
    const work = this.#chainOf(tree, topK, ahead, first);
    await this.#target.run(work);
    return endOfChain(tree, work);
  }

  beginChain(tree: DraftTree, topK: number, ahead: ChainAhead, first = 0): PassAside | undefined {
    const work = this.#chainOf(tree, topK, ahead, first);
    const end = this.#target.begin(work);
    if (!end) return undefined;
    const aside = {
      get ms() {
        return work.chain.done[1]! / 1000;
      },
      end: () => {
        this.#aside = undefined;
        end();
        return endOfChain(tree, work);
      },
    };
    this.#aside = aside;
    return aside;
  }

  #chainOf(tree: DraftTree, topK: number, ahead: ChainAhead, first: NodeIndex): ChainWork {
    const target = this.#target;
    const { levels, worth, odds } = ahead;
    this.checkTree(tree, first);
    if (!(levels >= 0 && tree.size + levels <= Math.min(tree.capacity, target.maxNodes)))
      throw new RangeError(`levels is ${levels}; give what a tree of ${tree.size} nodes has room for`);
    this.checkRoom(tree.depths[tree.size - 1]! + 1 + levels);
    this.#part = undefined;
    this.hold(undefined);
    const rows = new Rows(target, 1 + levels, { topK }, target.spare);
    this.hold(rows);
    return {
      rows,
      length: this.#length,
      trees: [treeOf(this.cache, tree, first)],
      chain: { levels, worth, odds, done: new Int32Array(2) },
    };
  }

  async forwardFirst(tree: DraftTree, layers: number, first = 0): Promise<Float32Array> {
    const target = this.#target;
    if (!Number.isInteger(layers) || layers < 1 || layers >= target.layers) {
      throw new RangeError(`layers is ${layers}; give an integer from 1 to ${target.layers - 1}`);
    }
    const part = first === 0 ? new FirstPart(tree, layers, target.hiddenSize) : this.#part;
    if (part?.tree !== tree || part.layers !== layers || part.size !== first) {
      throw new RangeError(`forwardFirst: nodes before ${first} are not pending after ${layers} layers`);
    }
    this.checkTree(tree, first);
    this.#part = undefined;
    const states = await this.#runFirst(treeOf(this.cache, tree, first), layers);
    part.add(states);
    this.#part = part;
    return states;
  }

  /** A pass through all layers follows: what has run through the first ones alone is lost. */
  dropPart(): void {
    this.#part = undefined;
  }

  /** Takes the rows of its newest pass; those of the one before nobody reads any more. */
  hold(rows: Rows | undefined): void {
    this.#rows?.release();
    this.#rows = rows;
  }

  /** Throws RangeError or EspalierError when `tree` is too large, has no node `first`, or does not fit behind the text. */
  checkTree(tree: DraftTree, first: NodeIndex): void {
    const target = this.#target;
    if (tree.size > target.maxNodes || first >= tree.size) {
      throw new RangeError(
        `a tree of ${tree.size} nodes, ${first} of them pending; a pass needs a new one, of at most ${target.maxNodes}`,
      );
    }
    target.checkTokens(tree.tokens, tree.size);
    let deepest = 0;
    for (let node = 1; node < tree.size; node++) deepest = Math.max(deepest, tree.depths[node]!);
    this.checkRoom(1 + deepest);
  }

  /** Throws EspalierError "context-overflow" when `count` more tokens do not fit, and Error when this was freed. */
  checkRoom(count: number): void {
    this.#checkAlive();
    const over = this.#length + count - this.capacity;
    if (over <= 0) return;
    throw new EspalierError(
      "context-overflow",
      `${count} tokens do not fit behind ${this.#length}: ${over} more than the cache of ${this.capacity} holds`,
    );
  }

  commit(path: readonly NodeIndex[]): void {
    this.#checkAlive();
    this.#part = undefined;
    const status = this.#target.binding.cacheCommit(this.cache, new Int32Array(path));
    if (status === commitStatus.ok) {
      this.#length += path.length;
      return;
    }
    if (status === commitStatus.full) this.checkRoom(path.length);
    if (status === commitStatus.noMemory) throw this.#target.outOfMemory(this.#length + path.length);
    throw new RangeError(`commit: [${path.join(", ")}] is no path of pending nodes that starts at node 0`);
  }

  rollback(): void {
    this.#checkAlive();
    this.#part = undefined;
    this.hold(undefined);
    this.#target.binding.cacheRollback(this.cache);
  }

  truncate(length: number): void {
    this.#checkAlive();
    this.#part = undefined;
    if (!Number.isInteger(length) || !this.#target.binding.cacheTruncate(this.cache, length)) {
      throw new RangeError(`truncate: length is ${length}; give an integer from 0 to ${this.#length}`);
    }
    this.#length = length;
  }

  get bytes(): number {
    this.#checkAlive();
    return this.#target.binding.cacheBytes(this.cache);
  }

  async copyFrom(other: NativeSequence, length: number): Promise<void> {
    const target = this.#target;
    const most = Math.min(other.#length, this.capacity);
    if (
      other === this ||
      other.#target !== target ||
      !Number.isInteger(length) ||
      length < 0 ||
      length > most
    ) {
      throw new RangeError(
        `copyFrom: length is ${length}; give an integer from 0 to ${most}, and another sequence of this target`,
      );
    }
    let known = 0;
    do {
      const next = Math.min(length, known + target.copiedTokens);
      const status = await target.inTurn(() => {
        this.#checkAlive();
        this.#part = undefined;
        other.#checkAlive();
        return target.binding.cacheCopy(this.cache, other.cache, known, next);
      });
      if (status === commitStatus.noMemory) throw target.outOfMemory(length);
      if (status !== commitStatus.ok) throw new RangeError("copyFrom: the other sequence was cut meanwhile");
      this.#length = known = next;
    } while (known < length);
  }

  fill(layers: number, length: number): void {
    this.#checkAlive();
    const target = this.#target;
    this.#part = undefined;
    const status = target.binding.cacheFill(this.cache, layers, length);
    if (status === commitStatus.noMemory) throw target.outOfMemory(length);
    if (status !== commitStatus.ok)
      throw new RangeError(`fill: no ${length} tokens in ${layers} layers; at most ${this.capacity} fit`);
    this.#length = length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#aside?.end();
    this.#disposed = true;
    await this.#target.idle();
    this.hold(undefined);
    this.#target.binding.release(this.cache);
  }

  /** A pass of which the first layers have run for the nodes in `part`: they run for the others, then the rest for all. */
  async #forwardRest(part: FirstPart, tree: DraftTree, want: Want): Promise<Pass> {
    this.checkTree(tree, 0);
    const target = this.#target;
    const { layers } = part;
    const places = part.find(tree);
    const nodes = places.map((_, node) => node);
    const known = nodes.filter((node) => places[node]! >= 0);
    const fresh = nodes.filter((node) => places[node]! < 0);
    this.#arrange(known.map((node) => places[node]!));
    const states = new Float32Array(tree.size * target.hiddenSize);
    const keep = (node: NodeIndex, state: Float32Array) => states.set(state, node * target.hiddenSize);
    for (const node of known) keep(node, part.state(places[node]!));
    if (fresh.length > 0) {
      const came = [...known, ...fresh];
      const at = nodes.map((node) => came.indexOf(node));
      const added = {
        cache: this.cache,
        tokens: Int32Array.from(came, (node) => tree.tokens[node]!),
        parents: Int32Array.from(came, (node) => at[tree.parents[node]!] ?? -1),
        size: came.length,
        first: known.length,
      };
      const rows = await this.#runFirst(added, layers);
      for (const [i, node] of fresh.entries())
        keep(node, rows.subarray(i * target.hiddenSize, (i + 1) * target.hiddenSize));
      this.#arrange(at);
    }
    this.hold(undefined);
    const rows = new Rows(target, tree.size, want, target.spare);
    this.hold(rows);
    const { pick, penalties } = want;
    const trees = [treeOf(this.cache, tree, 0, pick, penalties)];
    await target.run({ rows, length: this.#length, trees, from: layers, input: states });
    return new NativePass(rows, 0, tree.size);
  }

  /** The states of a tree's new nodes after the first `layers` layers. */
  async #runFirst(tree: PassTree, layers: number): Promise<Float32Array> {
    const rows = new Rows(this.#target, tree.size - tree.first, { topK: 0, taps: [layers] });
    await this.#target.run({ rows, length: this.#length, trees: [tree], to: layers });
    return rows.hidden!;
  }

  /** The pending nodes become these, in this order. */
  #arrange(nodes: readonly NodeIndex[]): void {
    const status = this.#target.binding.cacheArrange(this.cache, Int32Array.from(nodes));
    if (status === commitStatus.noMemory) throw this.#target.outOfMemory();
    if (status !== commitStatus.ok) throw new Error("internal: no list of pending nodes");
  }

  #checkAlive(): void {
    if (this.#disposed) throw new Error("this sequence was freed");
    if (this.#aside) throw new Error("internal: a pass of this sequence runs aside");
  }

  /** An abort becomes the signal's own reason. */
  async #settle(done: Promise<void>, signal?: AbortSignal): Promise<void> {
    try {
      await done;
    } catch (error) {
      if ((error as PassFailure).code === "aborted") signal?.throwIfAborted();
      throw error;
    }
  }
}

/** Adds the nodes of a chain that has run to its tree. */
function endOfChain(tree: DraftTree, { rows, chain }: ChainWork): Pass {
  const levels = chain.done[0]!;
  for (let i = 0; i < levels; i++) tree.push(tree.size - 1, rows.tokens[i * rows.k]!, 1);
  return new NativePass(rows, 0, 1 + levels);
}

function treeOf(
  cache: Cache,
  { tokens, parents, size }: DraftTree,
  first: NodeIndex,
  pick?: PassTree["pick"],
  penalties?: PassTree["penalties"],
): PassTree {
  return { cache, tokens, parents, size, first, pick, penalties };
}
