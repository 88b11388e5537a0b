/**
 * @file A line of a JSONL file, as logs and data sets have it: a text under "text", "content" or "code"; a chat under "messages" or
 * "conversations"; or a question and its answer.
 */

import { EspalierError } from "../errors.ts";
import type { ChatMessage } from "../text/chat-template.ts";

export type RecordContent =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "chat"; readonly messages: readonly ChatMessage[] };

const TEXTS = ["text", "content", "code"];
const CHATS = ["messages", "conversations", "conversation"];
const QUESTIONS = ["prompt", "instruction", "question"];
const ANSWERS = ["completion", "response", "answer", "output"];

/** By the names that data sets give to roles. */
const ROLES: Readonly<Record<string, ChatMessage["role"]>> = {
  system: "system",
  developer: "system",
  user: "user",
  human: "user",
  assistant: "assistant",
  gpt: "assistant",
  model: "assistant",
  tool: "tool",
  function: "tool",
};

/** Throws EspalierError "bad-documents" that begins with `where` when the line is not JSON, or holds no text. */
export function parseRecord(line: string, where: string): RecordContent {
  const bad = (fault: string) => new EspalierError("bad-documents", `${where}: ${fault}`);
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch (cause) {
    throw bad(`not JSON (${(cause as Error).message.slice(0, 200)})`);
  }
  if (typeof row === "string") return { kind: "text", text: row };
  if (typeof row !== "object" || row === null || Array.isArray(row)) {
    throw bad("neither a JSON object nor a string");
  }
  const fields = row as Record<string, unknown>;
  const chat = CHATS.map((name) => fields[name]).find((value) => value !== undefined);
  if (chat !== undefined) return { kind: "chat", messages: readMessages(chat, bad) };
  const string = (names: readonly string[]) =>
    names.map((name) => fields[name]).find((value) => typeof value === "string");
  const question = string(QUESTIONS);
  const answer = string(ANSWERS);
  if (question !== undefined && answer !== undefined) {
    const input = string(["input", "context"]);
    const content = input ? `${question}\n\n${input}` : question;
    const messages = [
      { role: "user", content },
      { role: "assistant", content: answer },
    ] as const;
    return { kind: "chat", messages };
  }
  const text = string(TEXTS);
  if (text !== undefined) return { kind: "text", text };
  const names = Object.keys(fields).slice(0, 10).join(", ").slice(0, 100);
  throw bad(
    `no text in it: its fields are ${names || "none"}; give one of ${[...TEXTS, ...CHATS.slice(0, 2)].join(", ")}, or "prompt" with "completion"`,
  );
}

function readMessages(chat: unknown, bad: (fault: string) => EspalierError): ChatMessage[] {
  if (!Array.isArray(chat)) throw bad("its messages are no list");
  return chat.map((message: unknown, index) => {
    const { role, from, content, value } = (message ?? {}) as Record<string, unknown>;
    const name = role ?? from;
    const known = typeof name === "string" && Object.hasOwn(ROLES, name) ? ROLES[name] : undefined;
    if (known === undefined) {
      throw bad(
        `message ${index + 1} has the role ${(JSON.stringify(name) ?? "none").slice(0, 40)}; known: ${Object.keys(ROLES).join(", ")}`,
      );
    }
    return { role: known, content: readContent(content ?? value ?? "", index, bad) };
  });
}

/** A string, or a list of parts of which those of type "text" count. */
function readContent(content: unknown, index: number, bad: (fault: string) => EspalierError): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw bad(`message ${index + 1} has no text as its content`);
  const texts = content.map((part: unknown) => (part as { text?: unknown } | null)?.text);
  return texts.filter((text) => typeof text === "string").join("");
}
