/** @file A prompt of a prompt file, turn by turn, with the model's own answers in between. */

import { EspalierError } from "../errors.ts";
import type { GenerateEvent, GenerateRequest } from "../session/api.ts";
import type { Model } from "../session/model.ts";
import type { ChatMessage } from "../text/chat-template.ts";
import type { TokenId } from "../types.ts";
import type { Prompt } from "./prompts.ts";

export type Answer = Extract<GenerateEvent, { type: "end" }>;

/** What all turns of a prompt have in common. */
export type TurnRequest = Omit<GenerateRequest, "prompt" | "messages" | "tokens">;

/** Runs all turns in one session, so that the cache is kept between them; ends early when aborted. */
export async function runPrompt(model: Model, prompt: Prompt, request: TurnRequest): Promise<Answer[]> {
  const session = await model.createSession();
  try {
    const messages: ChatMessage[] =
      prompt.system === undefined ? [] : [{ role: "system", content: prompt.system }];
    const answers: Answer[] = [];
    for (const turn of prompt.turns) {
      messages.push({ role: "user", content: turn });
      const text = prompt.kind === "completion" ? { prompt: turn } : { messages };
      const answer = await lastEvent(session.generate({ ...request, ...text }));
      answers.push(answer);
      if (answer.stopReason === "aborted") break;
      messages.push({ role: "assistant", content: answer.text });
    }
    return answers;
  } catch (error) {
    throw named(prompt, error);
  } finally {
    await session[Symbol.asyncDispose]();
  }
}

async function lastEvent(events: AsyncIterable<GenerateEvent>): Promise<Answer> {
  for await (const event of events) if (event.type === "end") return event;
  throw new Error("internal: the generation ended without an end event");
}

/** The same error, saying which prompt it was. */
function named(prompt: Prompt, error: unknown): unknown {
  if (!(error instanceof EspalierError)) return error;
  return new EspalierError(error.code, `prompt "${prompt.id}": ${error.message}`, { cause: error });
}

/** Where one prompt's answers differ; `position` counts tokens of the answer, null stands for its end. */
export interface Divergence {
  readonly prompt: string;
  /** Which turn, from 0. */
  readonly turn: number;
  readonly position: number;
  readonly expected: TokenId | null;
  readonly got: TokenId | null;
  readonly method: string;
}

/** The first place where `got` is not `expected`, lengths included; undefined when they are equal. */
export function firstDifference(
  expected: readonly Answer[],
  got: readonly Answer[],
): Pick<Divergence, "turn" | "position" | "expected" | "got"> | undefined {
  for (let turn = 0; turn < Math.max(expected.length, got.length); turn++) {
    const want = expected[turn]?.tokens ?? [];
    const have = got[turn]?.tokens ?? [];
    for (let position = 0; position < Math.max(want.length, have.length); position++) {
      if (want[position] === have[position]) continue;
      return { turn, position, expected: want[position] ?? null, got: have[position] ?? null };
    }
  }
  return undefined;
}
