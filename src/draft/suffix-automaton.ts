/**
 * @file A suffix automaton that grows token by token (Blumer et al., 1985; of several texts as in Mohri et al., 2009): every stretch that
 * was read, how often, and what followed. A state stands for the stretches that ended at the same places; its link for the longest of
 * their endings that also ended elsewhere. Counts are exact for stretches of up to {@link LONGEST_MATCH} + 1 tokens.
 */

import { doubled } from "../tree/doubled.ts";
import type { TokenId } from "../types.ts";

/** Tokens of a match that are counted; longer ones are as good as this. */
export const LONGEST_MATCH = 16;

/** A stretch of tokens: its state, and how long it is. At first that of no tokens; it moves, so that looking for one leaves nothing to collect. */
export class Match {
  state = 0;
  length = 0;

  set({ state, length }: Match): void {
    this.state = state;
    this.length = length;
  }
}

const NONE = -1;
const SMALLEST = 256;

export class SuffixAutomaton {
  /** Of each state: its longest stretch, the state of the link, how often and when it was last read, its newest edge. */
  #lengths = new Int32Array(SMALLEST);
  #links = new Int32Array(SMALLEST);
  #counts = new Int32Array(SMALLEST);
  #latest = new Int32Array(SMALLEST);
  #newest = new Int32Array(SMALLEST);
  #states = 0;
  /** Of each edge: where it begins, its token, where it ends, the next older edge of its state. */
  #from = new Int32Array(SMALLEST);
  #tokens = new Int32Array(SMALLEST);
  #to = new Int32Array(SMALLEST);
  #older = new Int32Array(SMALLEST);
  #edges = 0;
  /** Edges by hash of state and token, in the first free place; a power of two of places, at least half of them free. */
  #places = new Int32Array(4 * SMALLEST).fill(NONE);
  #clock = 0;
  /** Edges that are being copied. */
  readonly #copied: number[] = [];

  constructor() {
    this.#addState(0, NONE);
  }

  /** States so far, at most two for a token read: what memory it takes, about 50 bytes each with their edges. */
  get size(): number {
    return this.#states;
  }

  /** Reads a text of its own. */
  read(text: ArrayLike<TokenId>): void {
    const reader = new TextReader(this);
    for (let i = 0; i < text.length; i++) reader.push(text[i]!);
  }

  /** The state of the text that ends in `end` (0: that is empty) with `token` behind it; a {@link TextReader} then counts it. */
  extend(end: number, token: TokenId): number {
    const known = this.next(end, token);
    if (known !== NONE) return this.#exactly(end, token, known);
    const added = this.#addState(this.#lengths[end]! + 1, 0);
    let at = end;
    while (at !== NONE && this.#find(at, token) === NONE) {
      this.#addEdge(at, token, added);
      at = this.#links[at]!;
    }
    if (at !== NONE) this.#links[added] = this.#exactly(at, token, this.next(at, token));
    return added;
  }

  /** Notes that the text now ends with the stretch `match`, and with all of its endings. */
  count({ state }: Match): void {
    this.#clock++;
    for (let at = state; at !== NONE; at = this.#links[at]!) {
      this.#counts[at] = this.#counts[at]! + 1;
      this.#latest[at] = this.#clock;
    }
  }

  /** Moves `match` to the longest ending of it and `token` that was read, cut to `longest` tokens. */
  step(match: Match, token: TokenId, longest = LONGEST_MATCH): void {
    let { length } = match;
    let state = this.#stateOf(match.state, length);
    let next = this.next(state, token);
    while (next === NONE && this.#links[state] !== NONE) {
      state = this.#links[state]!;
      length = this.#lengths[state]!;
      next = this.next(state, token);
    }
    match.length = next === NONE ? 0 : Math.min(length + 1, longest);
    match.state = next === NONE ? 0 : this.#stateOf(next, match.length);
  }

  /** Moves `match` to the longest of its endings that stands at other places too; false at that of no tokens. */
  shorten(match: Match): boolean {
    const link = this.#links[this.#stateOf(match.state, match.length)]!;
    if (link === NONE) return false;
    match.state = link;
    match.length = this.#lengths[link]!;
    return true;
  }

  /** Moves `match` to the longest ending of `text` that was read, of at most {@link LONGEST_MATCH} tokens. */
  find(match: Match, text: ArrayLike<TokenId>): void {
    match.state = match.length = 0;
    for (let at = Math.max(0, text.length - LONGEST_MATCH); at < text.length; at++)
      this.step(match, text[at]!);
  }

  /** Visits at most `most` tokens that followed the stretches of `state`, the last that was new first: how often, and when last. */
  followers(
    state: number,
    most: number,
    visit: (token: TokenId, count: number, latest: number) => void,
  ): void {
    let edge = this.#newest[state]!;
    for (let i = 0; edge !== NONE && i < most; i++) {
      const to = this.#to[edge]!;
      visit(this.#tokens[edge]!, this.#counts[to]!, this.#latest[to]!);
      edge = this.#older[edge]!;
    }
  }

  /** Where `token` leads from `state`; -1: nowhere. */
  next(state: number, token: TokenId): number {
    const edge = this.#find(state, token);
    return edge === NONE ? NONE : this.#to[edge]!;
  }

  /** The state of the ending of `length` tokens that the stretches of `state` have, or had when it was found: it may have left some to new states. */
  #stateOf(state: number, length: number): number {
    if (length === 0) return 0;
    let at = state;
    while (this.#lengths[this.#links[at]!]! >= length) at = this.#links[at]!;
    return at;
  }

  /** The state of `token` behind the longest stretch of `from` alone, which so far leads to `to` together with longer ones. */
  #exactly(from: number, token: TokenId, to: number): number {
    const length = this.#lengths[from]! + 1;
    if (this.#lengths[to] === length) return to;
    const copy = this.#addState(length, this.#links[to]!);
    this.#counts[copy] = this.#counts[to]!;
    this.#latest[copy] = this.#latest[to]!;
    this.#copyEdges(this.#newest[to]!, copy);
    this.#links[to] = copy;
    for (let at = from; at !== NONE; at = this.#links[at]!) {
      const edge = this.#find(at, token);
      if (edge === NONE || this.#to[edge] !== to) break;
      this.#to[edge] = copy;
    }
    return copy;
  }

  #copyEdges(newest: number, state: number): void {
    let count = 0;
    for (let edge = newest; edge !== NONE; edge = this.#older[edge]!) this.#copied[count++] = edge;
    while (count > 0) {
      const edge = this.#copied[--count]!;
      this.#addEdge(state, this.#tokens[edge]!, this.#to[edge]!);
    }
  }

  #addState(length: number, link: number): number {
    const state = this.#states++;
    if (state === this.#lengths.length) {
      this.#lengths = doubled(this.#lengths);
      this.#links = doubled(this.#links);
      this.#counts = doubled(this.#counts);
      this.#latest = doubled(this.#latest);
      this.#newest = doubled(this.#newest);
    }
    this.#lengths[state] = length;
    this.#links[state] = link;
    this.#newest[state] = NONE;
    return state;
  }

  #addEdge(from: number, token: TokenId, to: number): void {
    const edge = this.#edges++;
    if (edge === this.#from.length) {
      this.#from = doubled(this.#from);
      this.#tokens = doubled(this.#tokens);
      this.#to = doubled(this.#to);
      this.#older = doubled(this.#older);
    }
    this.#from[edge] = from;
    this.#tokens[edge] = token;
    this.#to[edge] = to;
    this.#older[edge] = this.#newest[from]!;
    this.#newest[from] = edge;
    if (2 * this.#edges > this.#places.length) {
      this.#places = new Int32Array(2 * this.#places.length).fill(NONE);
      for (let old = 0; old < edge; old++) this.#place(old);
    }
    this.#place(edge);
  }

  #place(edge: number): void {
    const mask = this.#places.length - 1;
    let at = hash(this.#from[edge]!, this.#tokens[edge]!) & mask;
    while (this.#places[at] !== NONE) at = (at + 1) & mask;
    this.#places[at] = edge;
  }

  #find(state: number, token: TokenId): number {
    const mask = this.#places.length - 1;
    for (let at = hash(state, token) & mask; ; at = (at + 1) & mask) {
      const edge = this.#places[at]!;
      if (edge === NONE || (this.#from[edge] === state && this.#tokens[edge] === token)) return edge;
    }
  }
}

/** Reads one text into an automaton, which others may be read into at the same time. */
export class TextReader {
  readonly #automaton: SuffixAutomaton;
  #end = 0;
  /** The newest tokens, of as many as are counted. */
  readonly #newest = new Match();

  constructor(automaton: SuffixAutomaton) {
    this.#automaton = automaton;
  }

  push(token: TokenId): void {
    const automaton = this.#automaton;
    this.#end = automaton.extend(this.#end, token);
    automaton.step(this.#newest, token, LONGEST_MATCH + 1);
    automaton.count(this.#newest);
  }
}

function hash(state: number, token: TokenId): number {
  const mixed = Math.imul(state, 0x9e3779b1) ^ Math.imul(token + 1, 0x85ebca6b);
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> 0;
}
