/**
 * @file Retrieval: what followed the end of this text where it stood before, in the text itself, in earlier texts of this process, or in a
 * datastore (REST, arXiv:2311.08252). Tokens are as likely as their frequencies there have turned out to mean.
 */

import { EspalierError } from "../errors.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import type { Continuations, RetrievalSource } from "./continuations.ts";
import { type Candidates, type Drafter, pickedAt, type StepOutcome } from "./drafter.ts";
import { type Follower, followersOf } from "./followers.ts";
import { type Place, RetrievalOdds } from "./retrieval-odds.ts";
import { LONGEST_MATCH, longestMatch, type Match, SuffixAutomaton, TextReader } from "./suffix-automaton.ts";
import type { TextMemory } from "./text-memory.ts";

/** Continuations of one node. */
const BRANCHES = 4;
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

/** The text and a path behind it; each is looked for once a step, however often it is asked about. */
interface Spot {
  readonly depth: number;
  /** Where it ends in each automaton. */
  readonly matches: readonly Match[];
  /** Where it ends among the store's continuations: -1 at the root of them, undefined where they do not go on so. */
  readonly stored: number | undefined;
  found?: Found;
  readonly next: Map<TokenId, Spot>;
}

interface Searched {
  readonly automaton: SuffixAutomaton;
  readonly place: "text" | "earlier";
}

export class RetrievalDrafter implements Drafter {
  readonly name = "retrieval";
  readonly rows = { pass: 0, prompt: 0 };
  readonly mayMiss = true;
  readonly #places: RetrievalPlaces;
  readonly #odds: RetrievalOdds;
  #text: TokenId[] = [];
  #own = new SuffixAutomaton();
  #reader = new TextReader(this.#own);
  /** Where to search in this step, and where the text ends there; looked for with the first question. */
  #searched: readonly Searched[] = [];
  #root: Spot | undefined;
  /** What the store says behind the root. */
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
    this.#root = undefined;
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
    this.#root = undefined;
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
    const spot = this.#spotOf(tree, node);
    if (spot.found) return spot.found;
    const found: Found = { tokens: [], classes: [] };
    for (const [i, { automaton, place }] of this.#searched.entries())
      this.#searchIn(automaton, place, spot.matches[i]!, found);
    this.#searchStore(spot, found);
    spot.found = found;
    return found;
  }

  #spotOf(tree: DraftTree, node: NodeIndex): Spot {
    if (node === 0) {
      this.#root ??= this.#end();
      return this.#root;
    }
    const before = this.#spotOf(tree, tree.parents[node]!);
    const token = tree.tokens[node]!;
    let spot = before.next.get(token);
    if (spot === undefined) {
      spot = {
        depth: before.depth + 1,
        matches: before.matches.map((match, i) => this.#searched[i]!.automaton.step(match, token)),
        stored: this.#storedBehind(before.stored, token),
        next: new Map(),
      };
      before.next.set(token, spot);
    }
    return spot;
  }

  /** The end of the text. */
  #end(): Spot {
    const { text = true, earlier, store } = this.#places;
    const automata = earlier?.automata ?? [];
    this.#searched = [
      ...(text ? [{ automaton: this.#own, place: "text" as const }] : []),
      ...automata.map((automaton) => ({ automaton, place: "earlier" as const })),
    ];
    this.#continuations = store && this.#ask(store);
    const tail = this.#text.slice(-LONGEST_MATCH);
    const matches = this.#searched.map(({ automaton }) => longestMatch(automaton, tail));
    return { depth: 0, matches, stored: store && -1, next: new Map() };
  }

  /** Adds what followed the longest match, and then what followed shorter ones, until there is enough. */
  #searchIn(automaton: SuffixAutomaton, place: "text" | "earlier", end: Match, found: Found): void {
    let matched = 0;
    const most = found.tokens.length + BRANCHES;
    for (
      let match: Match | undefined = end;
      match !== undefined && match.length >= LEAST[place] && found.tokens.length < most;
      match = automaton.shorter(match)
    ) {
      const followers = followersOf(automaton, match, BRANCHES);
      if (followers.length === 0) continue;
      const longest = matched === 0;
      if (longest) matched = match.length;
      this.#add(found, followers, place, matched, longest);
    }
  }

  #storedBehind(at: number | undefined, token: TokenId): number | undefined {
    if (at === undefined) return undefined;
    const { tokens, parents } = this.#continuations!;
    for (let i = at + 1; i < tokens.length; i++) if (parents[i] === at && tokens[i] === token) return i;
    return undefined;
  }

  /** Those of the continuations that go on behind the spot. */
  #searchStore({ stored, depth }: Spot, found: Found): void {
    if (stored === undefined) return;
    const { matched, hits, tokens, parents, counts } = this.#continuations!;
    const total = stored < 0 ? hits : counts[stored]!;
    const followers: Follower[] = [];
    for (let i = stored + 1; i < tokens.length && followers.length < BRANCHES; i++) {
      if (parents[i] === stored) followers.push({ token: tokens[i]!, count: counts[i]!, total, last: false });
    }
    this.#add(found, followers, "store", matched + depth, true);
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
    place: Place,
    matched: number,
    longest: boolean,
  ): void {
    for (const { token, count, total, last } of followers) {
      const index = RetrievalOdds.classOf({ place, matched, longest, count, total, last });
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
