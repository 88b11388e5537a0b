/** @file Replies to the two kinds of completion, whole and in chunks. */

import type { GenerateEvent, TextPiece } from "../session/api.ts";
import { figuresOf, finishReasonOf, usageOf } from "./figures.ts";
import { chatLogProbs, completionLogProbs } from "./log-probs.ts";
import type { ChatChunk, ChatReply, CompletionChunk, CompletionReply } from "./reply-schema.ts";
import type { Job } from "./request.ts";

type TextEvent = Extract<GenerateEvent, { type: "text" }>;
type EndEvent = Extract<GenerateEvent, { type: "end" }>;

/** One reply in the making. Chunks are made in the order of the text. */
export interface Reply<Whole = unknown, Chunk = unknown> {
  whole(pieces: readonly TextPiece[], end: EndEvent): Whole;
  first(): Chunk[];
  text(event: TextEvent): Chunk;
  last(end: EndEvent): Chunk[];
}

/** What is the same in everything that belongs to one reply. */
export interface Head {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
}

export class ChatReplies implements Reply<ChatReply, ChatChunk> {
  readonly #head: Head;
  readonly #job: Job;

  constructor(head: Head, job: Job) {
    this.#head = head;
    this.#job = job;
  }

  whole(pieces: readonly TextPiece[], { text, stopReason, stats }: EndEvent): ChatReply {
    const { request } = this.#job;
    return {
      ...this.#head,
      object: "chat.completion",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: text, refusal: null },
          logprobs: request.logProbs === undefined ? null : chatLogProbs(pieces),
          finish_reason: finishReasonOf(stopReason),
        },
      ],
      usage: usageOf(stats),
      x_espalier: figuresOf(stats, request.seed),
    };
  }

  first(): ChatChunk[] {
    return [this.#chunk({ role: "assistant", content: "" })];
  }

  text({ text, pieces }: TextEvent): ChatChunk {
    const reported = this.#job.request.logProbs !== undefined;
    return this.#chunk({ content: text }, { logprobs: reported ? chatLogProbs(pieces) : null });
  }

  last({ stopReason, stats }: EndEvent): ChatChunk[] {
    const end = this.#chunk({}, { finish_reason: finishReasonOf(stopReason) });
    return [
      { ...end, x_espalier: figuresOf(stats, this.#job.request.seed) },
      ...(this.#job.includeUsage ? [{ ...end, choices: [], usage: usageOf(stats) }] : []),
    ];
  }

  #chunk(delta: ChatChunk["choices"][0]["delta"], rest: Partial<ChatChunk["choices"][0]> = {}): ChatChunk {
    return {
      ...this.#head,
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta, logprobs: null, finish_reason: null, ...rest }],
      ...(this.#job.includeUsage ? { usage: null } : {}),
    };
  }
}

export class CompletionReplies implements Reply<CompletionReply, CompletionChunk> {
  readonly #head: Head;
  readonly #job: Job;
  /** Characters of the chunks so far. */
  #offset = 0;

  constructor(head: Head, job: Job) {
    this.#head = head;
    this.#job = job;
  }

  whole(pieces: readonly TextPiece[], { text, stopReason, stats }: EndEvent): CompletionReply {
    return {
      ...this.#head,
      object: "text_completion",
      choices: [{ ...this.#choice(text, pieces), finish_reason: finishReasonOf(stopReason) }],
      usage: usageOf(stats),
      x_espalier: figuresOf(stats, this.#job.request.seed),
    };
  }

  first(): CompletionChunk[] {
    return [];
  }

  text({ text, pieces }: TextEvent): CompletionChunk {
    const chunk = this.#chunk({ ...this.#choice(text, pieces), finish_reason: null });
    this.#offset += text.length;
    return chunk;
  }

  last({ stopReason, stats }: EndEvent): CompletionChunk[] {
    const finish_reason = finishReasonOf(stopReason);
    const end = this.#chunk({ index: 0, text: "", logprobs: null, finish_reason });
    return [
      { ...end, x_espalier: figuresOf(stats, this.#job.request.seed) },
      ...(this.#job.includeUsage ? [{ ...end, choices: [], usage: usageOf(stats) }] : []),
    ];
  }

  #choice(text: string, pieces: readonly TextPiece[]) {
    const reported = this.#job.request.logProbs !== undefined;
    return { index: 0 as const, text, logprobs: reported ? completionLogProbs(pieces, this.#offset) : null };
  }

  #chunk(choice: CompletionChunk["choices"][0]): CompletionChunk {
    return {
      ...this.#head,
      object: "text_completion",
      choices: [choice],
      ...(this.#job.includeUsage ? { usage: null } : {}),
    };
  }
}
