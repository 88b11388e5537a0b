/** @file Log-probabilities in OpenAI's two shapes. A token's text has U+FFFD where it holds part of a character; its bytes are exact. */

import type { TextPiece, TokenLogProb } from "../session/api.ts";
import type { ChatLogProbs, CompletionLogProbs } from "./reply-schema.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const textOf = ({ bytes }: TokenLogProb) => decoder.decode(bytes);

export function chatLogProbs(pieces: readonly TextPiece[]): ChatLogProbs {
  const entry = (token: TokenLogProb) => ({
    token: textOf(token),
    logprob: token.logProb,
    bytes: [...token.bytes],
  });
  return {
    content: reported(pieces).map(({ logProbs }) => ({
      ...entry(logProbs),
      top_logprobs: logProbs.top.map(entry),
    })),
    refusal: null,
  };
}

/** `offset`: characters of the text before the pieces. */
export function completionLogProbs(pieces: readonly TextPiece[], offset: number): CompletionLogProbs {
  const known = reported(pieces);
  let at = offset;
  return {
    tokens: known.map(({ logProbs }) => textOf(logProbs)),
    token_logprobs: known.map(({ logProbs }) => logProbs.logProb),
    top_logprobs: known.map(({ logProbs }) => {
      // Of tokens that look the same, the likelier one stays.
      const top = new Map<string, number>();
      for (const token of logProbs.top) {
        const text = textOf(token);
        if (!top.has(text)) top.set(text, token.logProb);
      }
      return Object.fromEntries(top);
    }),
    text_offset: known.map(({ text }) => {
      const start = at;
      at += text.length;
      return start;
    }),
  };
}

type Reported = TextPiece & Required<Pick<TextPiece, "logProbs">>;

/** All but the end token. */
function reported(pieces: readonly TextPiece[]): Reported[] {
  return pieces.filter((piece): piece is Reported => piece.logProbs !== undefined);
}
