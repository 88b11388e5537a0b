/** @file Turns a conversation into the prompt text that the model was trained on, by the Jinja template in its file. */

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string;
}
