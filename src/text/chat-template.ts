/** @file Turns a conversation into the prompt text that the model was trained on, by the Jinja template in its file. */

import type { Template } from "@huggingface/jinja";
import { EspalierError } from "../errors.ts";
import { parseTemplate, renderTemplate } from "./bounded-jinja.ts";

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string;
}

/** Names that templates put around a text; the empty string where the model has none. */
export interface TemplateTokens {
  readonly bosToken: string;
  readonly eosToken: string;
}

export class ChatTemplate {
  readonly #template: Template;
  readonly #tokens: TemplateTokens;

  /**
   * `source` is what the model's file holds. Throws EspalierError "missing-chat-template" when that is nothing, and
   * "bad-chat-template" when it is not valid Jinja.
   */
  constructor(source: string | undefined, tokens: TemplateTokens) {
    if (source === undefined) {
      throw new EspalierError(
        "missing-chat-template",
        "the model's file has no chat template, so it can continue a prompt but not hold a conversation",
      );
    }
    try {
      this.#template = parseTemplate(source);
    } catch (cause) {
      throw badTemplate("cannot be parsed", cause);
    }
    this.#tokens = tokens;
  }

  /**
   * The text of the conversation; with `addGenerationPrompt` it ends where the assistant's answer begins. Throws
   * EspalierError "bad-chat-template" when the template fails, refuses these messages, or takes far more time or
   * memory than a template needs.
   */
  render(messages: readonly ChatMessage[], options: { addGenerationPrompt: boolean }): string {
    try {
      return renderTemplate(this.#template, {
        messages,
        tools: null,
        documents: null,
        add_generation_prompt: options.addGenerationPrompt,
        bos_token: this.#tokens.bosToken,
        eos_token: this.#tokens.eosToken,
      });
    } catch (cause) {
      throw badTemplate("does not accept this conversation", cause);
    }
  }
}

function badTemplate(problem: string, cause: unknown): EspalierError {
  return new EspalierError(
    "bad-chat-template",
    `the model's chat template ${problem}: ${(cause as Error).message.slice(0, 300)}`,
    {
      cause,
    },
  );
}
