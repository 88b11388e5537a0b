/**
 * @file Prompt files: JSON Lines of `id`, `category`, `kind`, `turns` and optionally `system` and `functions`. Fields of
 * other names are left alone, since such files carry references and tests as well.
 */

import { readFile } from "node:fs/promises";
import { EspalierError } from "../errors.ts";

/** "chat" goes through the chat template, "completion" is fed raw, "tools" is a chat that lists functions. */
export type PromptKind = "chat" | "completion" | "tools";

export interface Prompt {
  readonly id: string;
  readonly category: string;
  readonly kind: PromptKind;
  /** What the user says, in order; the model's own answers go in between. At least one. */
  readonly turns: readonly string[];
  /** The system message; for "tools" it ends with the functions as JSON. */
  readonly system?: string;
}

/** For the help of commands that read such files. */
export const PROMPT_FILES = `A line of a prompt file is a JSON object: "id", "category", "kind" ("chat"; "completion", fed as it is; or "tools", a
chat that lists "functions"), "turns" (what the user says, in order) and, if need be, "system".`;

const KINDS: readonly PromptKind[] = ["chat", "completion", "tools"];

/** Reads a file of prompts. Throws EspalierError "bad-prompts" with the line that is wrong, or "file-not-found". */
export async function readPrompts(path: string): Promise<Prompt[]> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") {
      throw new EspalierError("file-unreadable", `cannot read the prompts in ${path}`, { cause });
    }
    throw new EspalierError("file-not-found", `no prompt file at ${path}`, { cause });
  }
  return parsePrompts(text, path);
}

/** Parses the text of a prompt file; `name` stands for it in errors. */
export function parsePrompts(text: string, name: string): Prompt[] {
  const prompts: Prompt[] = [];
  const lines = new Map<string, number>();
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const number = index + 1;
    const prompt = parsePrompt(
      line,
      (fault) => new EspalierError("bad-prompts", `${name}:${number}: ${fault}`),
    );
    const first = lines.get(prompt.id);
    if (first !== undefined) {
      throw new EspalierError(
        "bad-prompts",
        `${name}:${number}: id "${prompt.id}" was on line ${first} already`,
      );
    }
    lines.set(prompt.id, number);
    prompts.push(prompt);
  }
  if (prompts.length === 0) throw new EspalierError("bad-prompts", `${name} holds no prompts`);
  return prompts;
}

function parsePrompt(line: string, bad: (fault: string) => EspalierError): Prompt {
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch (cause) {
    throw bad(`not JSON (${(cause as Error).message})`);
  }
  if (typeof row !== "object" || row === null || Array.isArray(row)) throw bad("not a JSON object");
  const { id, category, kind, turns, system, functions } = row as Record<string, unknown>;
  if (typeof id !== "string" || id === "") throw bad(`"id" is ${show(id)}; give a string`);
  if (typeof category !== "string" || category === "")
    throw bad(`"category" is ${show(category)}; give a string`);
  if (!KINDS.includes(kind as PromptKind))
    throw bad(`"kind" is ${show(kind)}; give one of ${KINDS.join(", ")}`);
  if (
    !Array.isArray(turns) ||
    turns.length === 0 ||
    !turns.every((turn) => typeof turn === "string" && turn !== "")
  ) {
    throw bad(`"turns" is ${show(turns)}; give a list of strings`);
  }
  if (system !== undefined && typeof system !== "string")
    throw bad(`"system" is ${show(system)}; give a string`);
  if (kind === "completion" && (turns.length > 1 || system !== undefined)) {
    throw bad(`a completion has one turn and no "system"`);
  }
  if (kind === "tools" && !Array.isArray(functions))
    throw bad(`"functions" is ${show(functions)}; give a list`);
  const message = kind === "tools" ? listFunctions(functions as readonly unknown[], system) : system;
  return {
    id,
    category,
    kind: kind as PromptKind,
    turns: turns as string[],
    ...(message === undefined ? {} : { system: message }),
  };
}

/** Chat templates differ in how they show functions and many show none, so they become part of the system message. */
function listFunctions(functions: readonly unknown[], system: string | undefined): string {
  const lines = functions.map((definition) => JSON.stringify(definition));
  return [...(system === undefined ? [] : [system, ""]), "Functions you can call:", ...lines].join("\n");
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/**
 * Takes at most `limit` prompts, spread over the categories as evenly as they allow and over each category's rows, in
 * the order of the file.
 */
export function spread(prompts: readonly Prompt[], limit: number | undefined): readonly Prompt[] {
  if (limit === undefined || limit >= prompts.length) return prompts;
  const rows = new Map<string, Prompt[]>();
  for (const prompt of prompts) {
    const row = rows.get(prompt.category);
    if (row === undefined) rows.set(prompt.category, [prompt]);
    else row.push(prompt);
  }
  const quotas = new Map([...rows.keys()].map((category) => [category, 0]));
  const categories = everyNth([...rows.keys()], Math.min(limit, rows.size));
  for (let left = limit; left > 0; ) {
    for (const category of categories) {
      const quota = quotas.get(category)!;
      if (left === 0 || quota === rows.get(category)!.length) continue;
      quotas.set(category, quota + 1);
      left--;
    }
  }
  const taken = new Set([...rows].flatMap(([category, all]) => everyNth(all, quotas.get(category)!)));
  return prompts.filter((prompt) => taken.has(prompt));
}

/** `count` of the items, at even distances, from the first on. */
function everyNth<T>(items: readonly T[], count: number): T[] {
  return Array.from({ length: count }, (_, index) => items[Math.floor((index * items.length) / count)]!);
}
