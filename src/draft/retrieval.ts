/**
 * @file Retrieval: what followed the end of this text where it stood before, in the text itself, in earlier texts of this process, or in a
 * datastore (REST, arXiv:2311.08252). Tokens are as likely as their frequencies there have turned out to mean.
 */

import { EspalierError } from "../errors.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { type CandidateList, CandidateLists } from "./candidate-list.ts";
import type { Continuations, RetrievalSource } from "./continuations.ts";
import type { Coupling } from "./coupling.ts";
import { type Candidates, type Drafter, pickedAt, type StepOutcome } from "./drafter.ts";
import { Followers } from "./followers.ts";
import { RetrievalOdds } from "./retrieval-odds.ts";
import { type Spot, Spots } from "./spots.ts";
import { LONGEST_MATCH, Match, SuffixAutomaton, TextReader } from "./suffix-automaton.ts";
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

/** What a store says that is not asked. */
const NOTHING: Continuations = {
  matched: 0,
  hits: 0,
  tokens: new Int32Array(0),
  parents: new Int32Array(0),
  counts: new Int32Array(0),
};

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
  readonly #automata: SuffixAutomaton[] = [];
  readonly #spots = new Spots();
  #root: Spot | undefined;
  /** What the store says behind the root. */
  #continuations: Continuations = NOTHING;
  #storeIsLost = false;
  readonly #lists = new CandidateLists();
  #coupling: Coupling | undefined;
  readonly #followers = new Followers(BRANCHES);
  /** What is looked at of a match. */
  readonly #match = new Match();

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
    for (let at = this.#text.length; at < tokens.length; at++) this.#push(tokens[at]!);
    this.#root = undefined;
  }

  couple(coupling: Coupling | undefined): void {
    this.#coupling = coupling;
  }

  expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Candidates[] {
    const lists = this.#lists.take(nodes.length);
    for (let i = 0; i < nodes.length; i++)
      this.#list(
        this.#search(tree, nodes[i]!),
        Math.min(width, BRANCHES),
        tree.depths[nodes[i]!]!,
        lists[i]!,
      );
    return lists;
  }

  observe(outcome: StepOutcome): void {
    const { tree, path } = outcome;
    // What would have been found along the path is looked for before the path itself can be found.
    for (let i = 0; i < path.length; i++) this.#search(tree, path[i]!);
    for (let i = 0; i < path.length; i++) {
      const { size, tokens, classes } = this.#search(tree, path[i]!);
      const picked = pickedAt(outcome, i);
      for (let at = 0; at < size; at++) this.#odds.observe(classes[at]!, tokens[at] === picked);
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

  /** The likeliest of what was found. */
  #list({ size, tokens, classes }: Spot, most: number, depth: number, list: CandidateList): void {
    list.begin();
    for (let at = 0; at < size; at++)
      list.insert(tokens[at]!, this.#odds.probs[classes[at]!]!, this.#coupling ? size : most);
    list.end();
    list.couple(this.#coupling, depth);
    list.cut(most);
  }

  #search(tree: DraftTree, node: NodeIndex): Spot {
    const spot = this.#spotOf(tree, node);
    if (spot.searched) return spot;
    spot.searched = true;
    for (let i = 0; i < this.#automata.length; i++) this.#searchIn(i, spot);
    this.#searchStore(spot);
    return spot;
  }

  #spotOf(tree: DraftTree, node: NodeIndex): Spot {
    if (node === 0) {
      this.#root ??= this.#end();
      return this.#root;
    }
    const before = this.#spotOf(tree, tree.parents[node]!);
    const token = tree.tokens[node]!;
    const known = before.child(token);
    if (known !== undefined) return known;
    const spot = this.#spots.behind(before, token);
    for (let i = 0; i < this.#automata.length; i++) {
      const match = spot.match(i);
      match.set(before.match(i));
      this.#automata[i]!.step(match, token);
    }
    spot.stored = this.#storedBehind(before.stored, token);
    return spot;
  }

  /** The end of the text. */
  #end(): Spot {
    const { text = true, earlier, store } = this.#places;
    const automata = this.#automata;
    let count = 0;
    if (text) automata[count++] = this.#own;
    if (earlier) for (const automaton of earlier.automata) automata[count++] = automaton;
    automata.length = count;
    const spot = this.#spots.begin();
    for (let i = 0; i < count; i++) automata[i]!.find(spot.match(i), this.#text);
    if (store) {
      this.#continuations = this.#ask(store);
      spot.stored = -1;
    }
    return spot;
  }

  /** Adds what followed the longest match in automaton `i`, and then what followed shorter ones, until there is enough. */
  #searchIn(i: number, spot: Spot): void {
    const automaton = this.#automata[i]!;
    const place = automaton === this.#own ? "text" : "earlier";
    const match = this.#match;
    const followers = this.#followers;
    match.set(spot.match(i));
    let matched = 0;
    const most = spot.size + BRANCHES;
    while (match.length >= LEAST[place] && spot.size < most) {
      followers.find(automaton, match);
      if (followers.size > 0) {
        const longest = matched === 0;
        if (longest) matched = match.length;
        const { tokens, counts, total } = followers;
        for (let at = 0; at < followers.size; at++) {
          const count = counts[at]!;
          const last = followers.isLast(at);
          const index = RetrievalOdds.classOf({ place, matched, longest, count, total, last });
          this.#add(spot, tokens[at]!, index);
        }
      }
      if (!automaton.shorten(match)) return;
    }
  }

  #storedBehind(at: number | undefined, token: TokenId): number | undefined {
    if (at === undefined) return undefined;
    const { tokens, parents } = this.#continuations;
    for (let i = at + 1; i < tokens.length; i++) if (parents[i] === at && tokens[i] === token) return i;
    return undefined;
  }

  /** Adds those of the continuations that go on behind the spot. */
  #searchStore(spot: Spot): void {
    const { stored, depth } = spot;
    if (stored === undefined) return;
    const { hits, tokens, parents, counts } = this.#continuations;
    const total = stored < 0 ? hits : counts[stored]!;
    const matched = this.#continuations.matched + depth;
    let found = 0;
    for (let i = stored + 1; i < tokens.length && found < BRANCHES; i++) {
      if (parents[i] !== stored) continue;
      found++;
      const count = counts[i]!;
      const index = RetrievalOdds.classOf({
        place: "store",
        matched,
        longest: true,
        count,
        total,
        last: false,
      });
      this.#add(spot, tokens[i]!, index);
    }
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

  /** Of what is found in several places, the likeliest class counts. */
  #add(spot: Spot, token: TokenId, index: number): void {
    const at = spot.placeOf(token);
    if (at < 0) spot.add(token, index);
    else if (this.#odds.probs[index]! > this.#odds.probs[spot.classes[at]!]!) spot.classes[at] = index;
  }
}
