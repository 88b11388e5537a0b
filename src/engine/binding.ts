/**
 * @file The native engine as `native/addon*.c` export it, and the one place that loads it. Handles are opaque; whoever
 * makes one keeps alive what it rests on and frees it only when no pass runs.
 */

import { EspalierError } from "../errors.ts";
import type { PenaltyRule } from "../target/penalties.ts";
import type { PickRule } from "../target/pick.ts";
import { loadNativeFile } from "./native-file.ts";
import { type PassFunctions, passList } from "./pass-list.ts";

declare const kind: unique symbol;
/** An engine object: freed by `release`, or when nothing refers to it any more. */
export interface Handle<Kind extends string> {
  readonly [kind]: Kind;
}
export type Pool = Handle<"pool">;
export type Arena = Handle<"arena">;
export type Matrix = Handle<"matrix">;
export type Stack = Handle<"stack">;
export type Cache = Handle<"cache">;
export type Store = Handle<"store">;

/** The weights of one layer; see EspLayer in native/espalier.h for the shapes. */
export interface LayerWeights {
  /** A draft head may be without. */
  readonly attentionNorm: Float32Array | undefined;
  readonly feedNorm: Float32Array;
  readonly query: Matrix;
  readonly key: Matrix;
  readonly value: Matrix;
  readonly output: Matrix;
  readonly gate: Matrix;
  readonly up: Matrix;
  readonly down: Matrix;
  readonly queryBias?: Float32Array | undefined;
  readonly keyBias?: Float32Array | undefined;
  readonly valueBias?: Float32Array | undefined;
  readonly queryNorm?: Float32Array | undefined;
  readonly keyNorm?: Float32Array | undefined;
  readonly attentionPostNorm?: Float32Array | undefined;
  readonly feedPostNorm?: Float32Array | undefined;
}

export interface StackLayer extends LayerWeights {
  /** Which of the stack's ropes turns it. */
  readonly rope: number;
  /** Positions that a token sees, itself included; 0: all. */
  readonly window: number;
}

/** See EspRope in native/espalier.h. */
export interface StackRope {
  readonly base: number;
  readonly factors?: Float32Array | undefined;
  readonly amplitude: number;
}

export interface StackSpec {
  readonly hidden: number;
  readonly feed: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly vocab: number;
  readonly ropeDims: number;
  readonly ropeNeox: boolean;
  readonly ropes: readonly StackRope[];
  readonly normEpsilon: number;
  /** The feed-forward's gate is opened by GELU instead of SiLU. */
  readonly gelu: boolean;
  readonly embeddingScale: number;
  readonly attentionScale: number;
  /** 0: none. */
  readonly attentionCap: number;
  readonly logitCap: number;
  readonly layers: readonly StackLayer[];
  readonly finalNorm?: Float32Array | undefined;
  readonly embedding?: Matrix;
  readonly head?: Matrix;
  /** Rows that a pass may put behind the head's, whose vocabulary is then a multiple of 16. */
  readonly others?: Matrix | undefined;
  /** A draft head's input; see EspStackSpec in native/espalier.h. */
  readonly join?: Matrix | undefined;
  readonly joinBias?: Float32Array | undefined;
  readonly wide?: boolean;
  readonly tokenNorm?: Float32Array | undefined;
  readonly featureNorm?: Float32Array | undefined;
  readonly fuse?: Matrix | undefined;
  readonly fuseNorm?: Float32Array | undefined;
}

export interface PassTree {
  readonly cache: Cache;
  readonly tokens: Int32Array;
  readonly parents: Int32Array;
  readonly size: number;
  /** Nodes before it are pending already, from earlier passes over the same tree. */
  readonly first: number;
  /** See EspPick in native/espalier.h. */
  readonly pick?: (PickRule & { readonly ahead?: number }) | undefined;
  /** See EspPenalties in native/espalier.h. */
  readonly penalties?: Omit<PenaltyRule, "listed"> | undefined;
}

/** One pass; rows are the new nodes of all trees, in order. The promise rejects with a {@link PassFailure}. */
export interface PassRequest {
  readonly stack: Stack;
  readonly trees: readonly PassTree[];
  /** Layers [from, to). */
  readonly from: number;
  readonly to: number;
  /** rows x hidden; without it the tokens are embedded. */
  readonly input?: Float32Array | undefined;
  /** The input is rows x (parts * hidden), to be fused by a draft head. */
  readonly fuse?: boolean;
  /** On the thread that runs it alone, without the others of the stack's pool. */
  readonly alone?: boolean;
  /** Rows of the stack's `others` that the head has in this pass, at most 512: tokens from `vocab` on, in this order. */
  readonly more?: Int32Array | undefined;
  /** Output rows, and those of a tap after the last layer, are the last of each tree alone. */
  readonly lastOnly: boolean;
  readonly topK: number;
  /** The target's tokens that a draft head's rows are of: lists are then of the best logit and noise together, by the tree's `pick`. */
  readonly ids?: Int32Array | undefined;
  /** output rows x topK */
  readonly tokens?: Int32Array | undefined;
  readonly logProbs?: Float32Array | undefined;
  /** output rows; -1 where a tree has no `pick` */
  readonly picks?: Int32Array | undefined;
  /** The best tokens of rows with penalties, so many a row, and their logits then; other rows stay as they are. */
  readonly penalisedK?: number;
  /** output rows x penalisedK */
  readonly penalisedTokens?: Int32Array | undefined;
  readonly penalisedLogits?: Float32Array | undefined;
  /** output rows x vocab, without those of `more` */
  readonly logits?: Float32Array | undefined;
  readonly taps?: Int32Array | undefined;
  /** taps x rows x hidden */
  readonly hiddenOut?: Float32Array | undefined;
  /** A nonzero element 0 stops the pass between two layers. */
  readonly abort?: Int32Array | undefined;
  /** Every tree is a chain, and all of it is committed when the pass is done. */
  readonly commit: boolean;
  /**
   * Behind one tree, with `lastOnly`: up to `levels` more passes, each over the likeliest token of the row before, whose lists follow; see EspChain in
   * native/espalier.h. `odds`: 16 classes; `done` gets how many there were, and the microseconds of all.
   */
  readonly chain?:
    | {
        readonly levels: number;
        readonly worth: number;
        readonly odds?: Float64Array | undefined;
        readonly done: Int32Array;
      }
    | undefined;
}

export interface PassFailure extends Error {
  readonly code: "aborted" | "invalid" | "full" | "no-memory";
}

/** Statuses of {@link Binding.cacheCommit}, {@link Binding.cacheCopy} and {@link Binding.cacheFill}, as EspStatus numbers them. */
export const commitStatus = { ok: 0, invalid: 2, full: 3, noMemory: 4 } as const;

/** Where a store's tokens and suffixes are in its file; see EspStoreLayout in native/store.h. */
export interface StoreLayout {
  readonly path: string;
  readonly bytes: number;
  readonly tokensAt: number;
  readonly suffixesAt: number;
  readonly count: number;
  readonly width: 2 | 4;
  readonly vocab: number;
}

/** Statuses of {@link Binding.matchStore}, as EspStatus numbers them. */
export const matchStatus = { ok: 0, invalid: 2, changed: 5 } as const;

/** A pass that runs while JavaScript goes on. */
export type Aside = Handle<"aside">;

export interface Binding {
  isas(): { readonly name: string; readonly usable: boolean }[];
  currentIsa(): string;
  selectIsa(name: string): boolean;
  release(handle: Handle<string>): void;
  createPool(threads: number): Pool | null;
  /** `fourBit` makes 4-bit blocks of what has more bits. */
  matrixBytes(type: number, fourBit: boolean, rows: number, cols: number): number;
  createArena(bytes: number): Arena | null;
  createMatrix(arena: Arena, type: number, fourBit: boolean, rows: number, cols: number): Matrix | null;
  /** Takes rows as they stand in a GGUF file; `first` is a multiple of 16. */
  fillMatrix(request: { matrix: Matrix; first: number; rows: number; bytes: Uint8Array }): Promise<void>;
  /** Bytes of an arena for so many rows of a matrix, as it has them. */
  gatheredBytes(matrix: Matrix, count: number): number;
  gatherMatrix(arena: Arena, matrix: Matrix, rows: Int32Array): Matrix | null;
  /** output (rows) = silu(matrix * input (cols) + bias (rows)), at once and on the JavaScript thread. */
  dense(request: { matrix: Matrix; bias: Float32Array; input: Float32Array; output: Float32Array }): void;
  createStack(pool: Pool, spec: StackSpec): Stack;
  createCache(stack: Stack, capacity: number, fixed: boolean): Cache | null;
  cacheLength(cache: Cache): number;
  cacheCommit(cache: Cache, path: Int32Array): number;
  /** Keeps these pending nodes, in this order: the root first, parents before children. A status as of cacheCommit. */
  cacheArrange(cache: Cache, nodes: Int32Array): number;
  cacheRollback(cache: Cache): void;
  cacheTruncate(cache: Cache, length: number): boolean;
  cacheBytes(cache: Cache): number;
  /** Of all that the engine has in this process: bytes in use, and of freed blocks that it keeps. null on systems where it does not count them. */
  memoryBytes(): { readonly used: number; readonly kept: number } | null;
  /** Makes `cache` hold the first `length` tokens of `from`, the first `known` of which it has from there; a status as of cacheCommit. */
  cacheCopy(cache: Cache, from: Cache, known: number, length: number): number;
  /** Makes `cache` hold `length` tokens of no text, in its first `layers` layers alone, which passes then may go through; a status as of cacheCommit. */
  cacheFill(cache: Cache, layers: number, length: number): number;
  /**
   * Brings the memory of a cache for `length` tokens, off the JavaScript thread. Nothing else may be done with the cache meanwhile. Rejects with a
   * {@link PassFailure}.
   */
  prepareCache(request: { cache: Cache; length: number }): Promise<void>;
  forward(request: PassRequest): Promise<void>;
  /** The same on the JavaScript thread, for passes that are shorter than the way to another one. */
  forwardNow(request: PassRequest): void;
  /**
   * Begins a pass on one thread beside this one; null when none can be spared. Nothing of the request may change, and no other pass use its stack
   * or caches, until the end. Passes on the same threads wait for it.
   */
  forwardBegin(request: PassRequest): Aside | null;
  /** Waits for it; throws a {@link PassFailure}. Once only. */
  forwardEnd(aside: Aside): void;
  /**
   * Fills `suffixes` with where the suffixes of `tokens` begin, in order; 0 <= token < alphabet. Neither may change meanwhile. A nonzero
   * element 0 of `abort` stops it. Rejects with a {@link PassFailure}.
   */
  sortSuffixes(request: {
    tokens: Int32Array;
    alphabet: number;
    suffixes: Int32Array;
    abort?: Int32Array;
  }): Promise<void>;
  /** Maps a file; throws a {@link PassFailure} when it cannot be opened, is not that large or cannot be mapped. */
  openStore(layout: StoreLayout): Store;
  /**
   * What followed the longest suffix of `context` in the store. `limits`: longest, shortest, places, depth, nodes. `found`, 3 + 3 * nodes: matched,
   * hits, size, then size each of tokens, parents and counts. Gives a {@link matchStatus}.
   */
  matchStore(store: Store, context: Int32Array, limits: Int32Array, found: Int32Array): number;
}

type NativeBinding = Omit<Binding, keyof PassFunctions> & PassFunctions;

let loaded: Binding | undefined;

/**
 * The engine. In the environment, ESPALIER_ISA forces an instruction set, and ESPALIER_NATIVE is the path of another build
 * (one with sanitizers, for tests). Throws EspalierError "no-engine" when it was not built, or cannot do what is asked.
 */
export function engine(): Binding {
  loaded ??= load();
  return loaded;
}

function load(): Binding {
  const native = loadNativeFile({ other: process.env.ESPALIER_NATIVE }) as NativeBinding;
  const binding: Binding = {
    ...native,
    forward: (pass) => native.forward(passList(pass)),
    forwardNow: (pass) => native.forwardNow(passList(pass)),
    forwardBegin: (pass) => native.forwardBegin(passList(pass)) as Aside | null,
  };
  const forced = process.env.ESPALIER_ISA;
  if (forced) selectIsa(binding, forced);
  return binding;
}

/** Makes passes use one instruction set; not while one runs. Throws EspalierError "no-engine" when it cannot. */
export function selectIsa(binding: Binding, name: string): void {
  if (binding.selectIsa(name)) return;
  const list = binding.isas().map(({ name, usable }) => (usable ? name : `${name} (not on this machine)`));
  throw new EspalierError(
    "no-engine",
    `instruction set "${name}" cannot be used; there are: ${list.join(", ")}`,
  );
}
