/** @file A model on the toy target, for tests of what stands above the engine. */

import type { GenerateEvent, TextPiece } from "../src/session/api.ts";
import { Model } from "../src/session/model.ts";
import type { ModelParts } from "../src/session/parts.ts";
import { type ToyOptions, ToyTarget } from "../src/target/toy.ts";
import type { TokenId } from "../src/types.ts";

const FIRST = "0".charCodeAt(0);

/** Token i is character "0" + i, but for the end token 0, which has no text. */
export const toyTokenizer: ModelParts["tokenizer"] = {
  fingerprint: "70".repeat(32),
  encode: (text) => Array.from(text, (character) => character.codePointAt(0)! - FIRST),
  tokenBytes: (token) => Buffer.from(token === 0 ? "" : String.fromCodePoint(FIRST + token)),
  quote: (text) => text,
  startsWithSpace: false,
  promptStart: [],
  promptEnd: [],
};

/** As real ones are: tokens of several characters, of half a character, and of none. */
export const raggedTokenizer: ModelParts["tokenizer"] = {
  ...toyTokenizer,
  tokenBytes(token) {
    const simple = toyTokenizer.tokenBytes(token);
    switch (token % 8) {
      case 4:
        return Buffer.of(0xc3);
      case 5:
        return Buffer.of(0xa9);
      case 6:
        return Buffer.concat([simple, simple, toyTokenizer.tokenBytes(1)]);
      case 7:
        return token % 16 === 7 ? Buffer.alloc(0) : Buffer.concat([Buffer.of(0xa9), simple, Buffer.of(0xc3)]);
      default:
        return simple;
    }
  },
};

export function toyModel(options: ToyOptions = {}, parts: Partial<ModelParts> = {}): Model {
  return new Model({
    name: "toy",
    target: new ToyTarget(options),
    tokenizer: toyTokenizer,
    endTokens: [0],
    ...parts,
  });
}

export interface Result {
  readonly pieces: readonly TextPiece[];
  readonly tokens: readonly TokenId[];
  readonly text: string;
  readonly end: Extract<GenerateEvent, { type: "end" }>;
}

/** Reads a stream to its end, and checks that its pieces are its text. */
export async function collect(events: AsyncIterable<GenerateEvent>): Promise<Result> {
  let text = "";
  const pieces: TextPiece[] = [];
  let end: Result["end"] | undefined;
  for await (const event of events) {
    if (end !== undefined) throw new Error(`a ${event.type} event after the end`);
    if (event.type === "end") end = event;
    else {
      if (event.pieces.map((piece) => piece.text).join("") !== event.text)
        throw new Error("pieces are not the text");
      text += event.text;
      pieces.push(...event.pieces);
    }
  }
  if (end === undefined) throw new Error("the stream had no end");
  if (end.text !== text) throw new Error(`the pieces were "${text}", the result is "${end.text}"`);
  const tokens = pieces.map((piece) => piece.token);
  if (tokens.join() !== end.tokens.join())
    throw new Error(`the pieces were ${tokens}, the result is ${end.tokens}`);
  return { pieces, tokens: end.tokens, text, end };
}
