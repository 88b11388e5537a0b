/** @file A model on the toy target, with one character a token, for tests of what stands above the engine. */

import type { GenerateEvent } from "../src/session/api.ts";
import { Model } from "../src/session/model.ts";
import type { ModelParts } from "../src/session/parts.ts";
import { type ToyOptions, ToyTarget } from "../src/target/toy.ts";
import type { TokenId } from "../src/types.ts";

const FIRST = "0".charCodeAt(0);

/** Token i is character "0" + i; encode refuses nothing, so give it characters of the vocabulary. */
export const toyTokenizer: ModelParts["tokenizer"] = {
  encode: (text) => Array.from(text, (character) => character.charCodeAt(0) - FIRST),
  decode: (tokens) => String.fromCharCode(...tokens.map((token) => FIRST + token)),
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
  readonly tokens: readonly TokenId[];
  readonly text: string;
  readonly end: Extract<GenerateEvent, { type: "end" }>;
}

/** Reads a stream to its end, and checks that its pieces are its text. */
export async function collect(events: AsyncIterable<GenerateEvent>): Promise<Result> {
  let text = "";
  let end: Result["end"] | undefined;
  for await (const event of events) {
    if (end !== undefined) throw new Error(`a ${event.type} event after the end`);
    if (event.type === "end") end = event;
    else {
      if (event.pieces.map((piece) => piece.text).join("") !== event.text)
        throw new Error("pieces are not the text");
      text += event.text;
    }
  }
  if (end === undefined) throw new Error("the stream had no end");
  if (end.text !== text) throw new Error(`the pieces were "${text}", the result is "${end.text}"`);
  return { tokens: end.tokens, text, end };
}
