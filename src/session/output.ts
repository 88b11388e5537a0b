/**
 * @file The text as it is shown. Tokens go in; pieces come out as soon as their characters can no longer be part of a
 * stop string. A token belongs to the result when its text starts before the cut, so the last one may be shown in part.
 */

import { Detokenizer, type TokenBytes } from "../text/detokenizer.ts";
import { StopMatcher } from "../text/stop-strings.ts";
import type { TokenId } from "../types.ts";
import type { PieceLogProbs, TextPiece } from "./api.ts";

/** A piece that is not shown yet. */
interface Waiting {
  readonly piece: TextPiece & { text: string };
  /** Ends with a part of a character, which the next token may complete. */
  readonly open: boolean;
  /** Characters of the text before it. */
  readonly start: number;
}

export class Output {
  readonly #source: TokenBytes;
  readonly #detokenizer: Detokenizer;
  readonly #stops: StopMatcher;
  /** Of each token, the characters before it. */
  readonly #starts: number[] = [];
  readonly #waiting: Waiting[] = [];
  #ready: TextPiece[] = [];
  #text = "";
  /** Characters decoded, and those of them that passed the stop strings. */
  #decoded = 0;
  #passed = 0;
  /** Tokens of the result so far. */
  #tokens = 0;

  /** With `continues`, the text goes on with another one, as of {@link Detokenizer}. */
  constructor(source: TokenBytes, stops: readonly string[], options: { continues?: boolean } = {}) {
    this.#source = source;
    this.#detokenizer = new Detokenizer(source, options);
    this.#stops = new StopMatcher(stops);
  }

  /** Text of all pieces taken so far and ready to be taken. */
  get text(): string {
    return this.#text;
  }

  /** How many of the tokens that went in belong to the result. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Adds the next token; true when it completed a stop string, which ends the output. */
  push(token: TokenId, drafters: readonly string[], logProbs?: PieceLogProbs): boolean {
    const text = this.#detokenizer.push(token);
    const open = endsOpen(this.#source.tokenBytes(token));
    const piece = logProbs ? { token, text, drafters, logProbs } : { token, text, drafters };
    this.#waiting.push({ piece, open, start: this.#decoded });
    this.#starts.push(this.#decoded);
    this.#tokens++;
    return this.#decode(text);
  }

  /** Adds a token that has no text: the one that ends the generation. */
  pushSilent(token: TokenId, drafters: readonly string[]): void {
    this.#waiting.push({ piece: { token, text: "", drafters }, open: false, start: this.#decoded });
    this.#tokens++;
  }

  /** No token follows; true when what was still waiting completed a stop string. */
  end(): boolean {
    const rest = this.#detokenizer.end();
    if (rest !== "") this.#waiting.at(-1)!.piece.text += rest;
    if (this.#decode(rest)) return true;
    this.#passed += this.#stops.end().length;
    this.#release(this.#waiting.length);
    return false;
  }

  /** The pieces that became ready since the last call. */
  take(): TextPiece[] {
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  #decode(text: string): boolean {
    this.#decoded += text.length;
    const { emit, stopped } = this.#stops.push(text);
    this.#passed += emit.length;
    const waiting = this.#waiting;
    if (stopped) {
      this.#tokens = this.#starts.filter((start) => start < this.#passed).length;
      const inside = waiting.filter(({ start }) => start < this.#passed).length;
      const last = waiting[inside - 1];
      if (last) last.piece.text = last.piece.text.slice(0, this.#passed - last.start);
      this.#release(inside);
      waiting.length = 0;
    } else {
      // A piece without characters, or with a part of one, waits for the next that is whole: what completes it may belong
      // to a stop string.
      let whole = waiting.length;
      while (whole > 0 && !this.#isWhole(waiting[whole - 1]!)) whole--;
      this.#release(whole);
    }
    return stopped;
  }

  #isWhole({ piece, open, start }: Waiting): boolean {
    return piece.text.length > 0 && !open && start + piece.text.length <= this.#passed;
  }

  #release(count: number): void {
    for (const { piece } of this.#waiting.splice(0, count)) {
      this.#ready.push(piece);
      this.#text += piece.text;
    }
  }
}

/** Whether UTF-8 bytes break off inside a character. */
function endsOpen(bytes: Uint8Array): boolean {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return false;
    // The first byte of a character says how many it has.
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2);
  }
  return false;
}
