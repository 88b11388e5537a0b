/** @file What a datastore finds for a text, as a tree to be read. */

import type { Datastore } from "../datastore/datastore.ts";
import { Tokenizer } from "../text/tokenizer.ts";
import type { TokenizerSpec } from "../text/vocabulary.ts";
import type { TokenId } from "../types.ts";

/** A token that followed, and what followed it. */
interface Continuation {
  readonly token: TokenId;
  /** As the vocabulary has it, bytes that are no UTF-8 replaced. */
  readonly text: string;
  /** Of the hits, those where it followed. */
  readonly count: number;
  readonly next: Continuation[];
}

/** What `datastore query --json` prints. */
export interface QueryResult {
  /** The tokens that were found, the end of the text that was asked for. */
  readonly matched: readonly TokenId[];
  readonly matchedText: string;
  /** Places that were counted. */
  readonly hits: number;
  readonly ms: number;
  readonly continuations: readonly Continuation[];
}

export function queryStore(store: Datastore, spec: TokenizerSpec, text: string): QueryResult {
  const tokenizer = new Tokenizer(spec);
  const context = tokenizer.encode(text, { special: true });
  const start = performance.now();
  const { matched, hits, tokens, parents, counts } = store.match(context);
  const ms = performance.now() - start;
  const continuations: Continuation[] = [];
  const nodes: Continuation[] = [];
  for (const [i, token] of tokens.entries()) {
    const shown = tokenizer.decode([token]) || tokenizer.tokenName(token);
    const node = { token, text: shown, count: counts[i]!, next: [] };
    (parents[i]! < 0 ? continuations : nodes[parents[i]!]!.next).push(node);
    nodes.push(node);
  }
  const found = context.slice(context.length - matched);
  return { matched: found, matchedText: tokenizer.decode(found), hits, ms, continuations };
}

export function showContinuations({ matched, matchedText, hits, ms, continuations }: QueryResult): string {
  if (matched.length === 0) return "nothing found\n";
  const head = `${JSON.stringify(matchedText)}: ${matched.length} tokens, ${hits} places, ${ms.toFixed(3)} ms`;
  return `${[head, ...continuations.flatMap((node) => lines(node, "  "))].join("\n")}\n`;
}

/** A run of tokens that are alone to follow, with one count, is one line. */
function lines(node: Continuation, indent: string): string[] {
  let text = node.text;
  let last = node;
  while (last.next.length === 1 && last.next[0]!.count === node.count) {
    last = last.next[0]!;
    text += last.text;
  }
  const line = `${indent}${String(node.count).padStart(5)}  ${JSON.stringify(text)}`;
  return [line, ...last.next.flatMap((node) => lines(node, `${indent}  `))];
}
