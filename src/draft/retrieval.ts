/**
 * @file Retrieval: what followed the end of this text where it stood before, in the text itself, in earlier texts of this process, or in a
 * datastore (REST, arXiv:2311.08252). Tokens are as likely as their frequencies there have turned out to mean.
 */

import { EspalierError } from "../errors.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import type { Continuations, RetrievalSource } from "./continuations.ts";
import { type Candidates, type Drafter, pickedAt, type StepOutcome } from "./drafter.ts";
import { type Evidence, type Place, RetrievalOdds } from "./retrieval-odds.ts";
import { LONGEST_MATCH, longestMatch, type Match, SuffixAutomaton, TextReader } from "./suffix-automaton.ts";
import type { TextMemory } from "./text-memory.ts";

/** Continuations of one node. */
const BRANCHES = 4;
/** Followers of a match that are looked at, those that were new last. */
const FOLLOWERS = 64;
/** The least that must match in the text itself, and in earlier ones. */
const LEAST = { text: 1, earlier: 2 };

/** Where to look. What is learnt, and earlier texts, all texts of a method share. */
export interface RetrievalPlaces {
  readonly odds: RetrievalOdds;
  /** Whether in the text itself. Default: yes. */
  readonly text?: boolean;
  /** Takes in every text that ends. */
  readonly earlier?: TextMemory;
  readonly store?: RetrievalSource | undefined;
}

/** What was found for one node: a list of tokens without doubles. */
interface Found {
  readonly tokens: TokenId[];
  readonly classes: number[];
}

type Follower = Omit<Evidence, "place" | "matched" | "longest"> & { readonly token: TokenId };

export class RetrievalDrafter implements Drafter {
  readonly name = "retrieval";
  readonly rows = { pass: 0, prompt: 0 };
  readonly mayMiss = true;
  readonly #places: RetrievalPlaces;
  readonly #odds: RetrievalOdds;
  #text: TokenId[] = [];
  #own = new SuffixAutomaton();
  #reader = new TextReader(this.#own);
  /** Where the text ends in automata, as far as it was looked for in this step. */
  readonly #matches = new Map<SuffixAutomaton, Match>();
  /** What the store says behind the root; asked once a step. */
  #continuations: Continuations | undefined;
  #storeIsLost = false;

  constructor(places: RetrievalPlaces) {
    this.#places = places;
    this.#odds = places.odds;
  }

  begin(tokens: readonly TokenId[]): void {
    let same = 0;
    while (same < this.#text.length && this.#text[same] === tokens[same]) same++;
    if (same < this.#text.length) {
      // What is gone from it was said all the same.
      this.#places.earlier?.remember(this.#text.slice(Math.max(0, same - LONGEST_MATCH)));
      this.#text = [];
      this.#own = new SuffixAutomaton();
      this.#reader = new TextReader(this.#own);
    }
    for (const token of tokens.slice(this.#text.length)) this.#push(token);
    this.#matches.clear();
    this.#continuations = undefined;
  }

  expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Candidates[] {
    return nodes.map((node) => {
      const { tokens, classes } = this.#search(tree, node);
      const probs = classes.map((index) => this.#odds.probs[index]!);
      const best = [...tokens.keys()]
        .sort((a, b) => probs[b]! - probs[a]!)
        .slice(0, Math.min(width, BRANCHES));
      return { tokens: best.map((i) => tokens[i]!), probs: best.map((i) => probs[i]!) };
    });
  }

  observe(outcome: StepOutcome): void {
    const { tree, path } = outcome;
    // What would have been found along the path is counted before the path itself can be found.
    const found = path.map((node) => this.#search(tree, node));
    for (const [i, { tokens, classes }] of found.entries()) {
      const picked = pickedAt(outcome, i);
      for (const [at, token] of tokens.entries()) this.#odds.observe(classes[at]!, token === picked);
      this.#push(picked);
    }
    this.#matches.clear();
    this.#continuations = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#places.earlier?.remember(this.#text);
    this.#text = [];
  }

  #push(token: TokenId): void {
    this.#text.push(token);
    this.#reader.push(token);
  }

  #search(tree: DraftTree, node: NodeIndex): Found {
    const path = tree
      .path(node)
      .slice(1)
      .map((at) => tree.tokens[at]!);
    const found: Found = { tokens: [], classes: [] };
    const { text = true, earlier } = this.#places;
    if (text) this.#searchIn(this.#own, "text", path, found);
    for (const automaton of earlier?.automata ?? []) this.#searchIn(automaton, "earlier", path, found);
    this.#searchStore(path, found);
    return found;
  }

  /** Adds what followed the longest match, and then what followed shorter ones, until there is enough. */
  #searchIn(
    automaton: SuffixAutomaton,
    place: "text" | "earlier",
    path: readonly TokenId[],
    found: Found,
  ): void {
    let matched = 0;
    const most = found.tokens.length + BRANCHES;
    for (
      let match: Match | undefined = path.reduce(
        (at, token) => automaton.step(at, token),
        this.#matchOf(automaton),
      );
      match !== undefined && match.length >= LEAST[place] && found.tokens.length < most;
      match = automaton.shorter(match)
    ) {
      const followers = followersOf(automaton, match);
      if (followers.length === 0) continue;
      const longest = matched === 0;
      if (longest) matched = match.length;
      this.#add(found, followers, { place, matched, longest });
    }
  }

  /** The end of the text. */
  #matchOf(automaton: SuffixAutomaton): Match {
    let match = this.#matches.get(automaton);
    if (match === undefined) {
      match = longestMatch(automaton, this.#text.slice(-LONGEST_MATCH));
      this.#matches.set(automaton, match);
    }
    return match;
  }

  /** Those of the continuations that go on behind `path`. */
  #searchStore(path: readonly TokenId[], found: Found): void {
    const { store } = this.#places;
    if (store === undefined) return;
    this.#continuations ??= this.#ask(store);
    const { matched, hits, tokens, parents, counts } = this.#continuations;
    let at = -1;
    let total = hits;
    let first = 0;
    for (const token of path) {
      const parent = at;
      at = tokens.findIndex((other, i) => i >= first && parents[i] === parent && other === token);
      if (at < 0) return;
      total = counts[at]!;
      first = at + 1;
    }
    const followers: Follower[] = [];
    for (let i = first; i < tokens.length && followers.length < BRANCHES; i++) {
      if (parents[i] === at) followers.push({ token: tokens[i]!, count: counts[i]!, total, last: false });
    }
    this.#add(found, followers, { place: "store", matched: matched + path.length, longest: true });
  }

  /** A store whose file is changed while it is open is not asked again. */
  #ask(store: RetrievalSource): Continuations {
    try {
      if (!this.#storeIsLost) return store.match(this.#text.slice(-LONGEST_MATCH));
    } catch (error) {
      if (!(error instanceof EspalierError && error.code === "store-changed")) throw error;
      this.#storeIsLost = true;
    }
    return NOTHING;
  }

  #add(
    { tokens, classes }: Found,
    followers: readonly Follower[],
    match: { readonly place: Place; readonly matched: number; readonly longest: boolean },
  ): void {
    for (const { token, ...follower } of followers) {
      const index = RetrievalOdds.classOf({ ...match, ...follower });
      const at = tokens.indexOf(token);
      if (at < 0) {
        tokens.push(token);
        classes.push(index);
      } else if (this.#odds.probs[index]! > this.#odds.probs[classes[at]!]!) classes[at] = index;
    }
  }
}

const NOTHING: Continuations = {
  matched: 0,
  hits: 0,
  tokens: new Int32Array(0),
  parents: new Int32Array(0),
  counts: new Int32Array(0),
};

/** What followed most often, of equals last. */
function followersOf(automaton: SuffixAutomaton, { state }: Match): Follower[] {
  const all: { token: TokenId; count: number; latest: number }[] = [];
  automaton.followers(state, FOLLOWERS, (token, count, latest) => all.push({ token, count, latest }));
  const total = all.reduce((sum, { count }) => sum + count, 0);
  const last = all.reduce((latest, follower) => Math.max(latest, follower.latest), 0);
  return all
    .sort((a, b) => b.count - a.count || b.latest - a.latest)
    .slice(0, BRANCHES)
    .map(({ token, count, latest }) => ({ token, count, total, last: latest === last }));
}
