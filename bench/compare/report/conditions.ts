/** @file What stands beside every table: what ran, on what, how it was counted, whether texts were equal, and how quiet the machine was. */

import { FEWEST, meanOf } from "./figures.ts";
import { percent } from "./markdown.ts";
import type { Contender, Records, Round, Run } from "./records.ts";

/** With more of the machine taken by others the figures mean little, and the report says so. */
const BUSY = 0.03;
const ESPALIER = "espalier";

export function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

/** Contenders of all runs, each once. */
export function allContenders(runs: readonly Run[]): Contender[] {
  return [...new Map(runs.flatMap(({ contenders }) => contenders).map((one) => [one.name, one])).values()];
}

export function peersOf(contenders: readonly Contender[], engine: string): string[] {
  return contenders.filter((one) => one.engine === engine).map(({ name }) => name);
}

export function ownOf(contenders: readonly Contender[]): string[] {
  return peersOf(contenders, ESPALIER);
}

/** How figures were counted, for readers of a table. */
export const DEFINITION = `Greedy unless a temperature stands there. Everybody gets the same token ids, takes its turn in rotating order in a process of its own, and sleeps
in between. Tokens are those of the text by Espalier's tokenizer, and the end token. *First token*: from the request to the arrival of the first token at the caller.
*Tokens/s*: tokens that came after the first, by the time from then to the end of the stream; the same for all. Medians over prompts with quartiles in
brackets; ratios are means of the prompts' own ratios, quartiles in brackets; rows "mean" are means over the categories. *MAT*: tokens by pass over the model after the prompt.`;

export function conditionsText({ runs, rounds }: Records, counted: readonly Round[]): string {
  const [run] = runs;
  const { model, machine, warmUpMs = 0 } = run!;
  const lines = [
    `${model.name} (${(model.bytes / 1e6).toFixed(0)} MB, sha256 ${model.sha256.slice(0, 12)}), at most ${run!.maxTokens} tokens; ${machine.cpu}, ${machine.cores} cores, ` +
      `${machine.memoryGb} GB; ${run!.threads} threads; Node ${run!.node}; Espalier ${distinct(runs.map(({ commit }) => commit)).join(" and ")}.`,
    ...distinct(runs.map(({ draftModel }) => draftModel))
      .filter((name) => name !== null)
      .map((name) => `Draft model: ${name}.`),
    ...allContenders(runs)
      .filter(({ engine }) => engine !== ESPALIER)
      .map(({ name, settings }) => `${name}: ${settingsText(settings)}.`),
    ...(warmUpMs > 0
      ? [`Everybody had written for ${warmUpMs / 1000} s before, which no figure counts.`]
      : []),
    quietText(rounds),
    equalText(runs, rounds),
    ...offText(rounds),
  ];
  const dropped = rounds.length - counted.length;
  if (dropped > 0) {
    lines.push(
      `${dropped} of ${rounds.length} prompts are left out: an answer had fewer than ${FEWEST} tokens behind the first, or others took more of the machine than was asked for.`,
    );
  }
  return lines.join("\n");
}

function settingsText(settings: Readonly<Record<string, unknown>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
    .join(", ");
}

function quietText(rounds: readonly Round[]): string {
  const turns = rounds.flatMap((round) => round.turns);
  if (turns.length === 0) return "No prompts were measured.";
  const [others, waiting] = [
    meanOf(turns.map((turn) => turn.others)),
    meanOf(turns.map((turn) => turn.waiting)),
  ];
  const busy = turns.filter((turn) => turn.others > BUSY).length;
  const again = others > BUSY ? "; **measure again**" : "";
  return `Other programs took ${percent(others)} of the machine (more than ${percent(BUSY)} in ${busy} of ${turns.length} turns${again}), contenders that waited ${percent(waiting)}.`;
}

/** Which methods had stopped to draft, by their own account. */
function offText(rounds: readonly Round[]): string[] {
  const counts = new Map<string, number>();
  for (const { contender, off } of rounds.flatMap(({ turns }) => turns)) {
    if (off !== undefined) counts.set(contender, (counts.get(contender) ?? 0) + 1);
  }
  if (counts.size === 0) return [];
  const each = [...counts].map(([name, count]) => `${name} on ${count}`);
  return [`Had stopped to draft by the end, of ${rounds.length} prompts: ${each.join(", ")}.`];
}

/** Texts of Espalier's methods must be its plain ones; those of other programs may round otherwise. */
export function unequal(runs: readonly Run[], rounds: readonly Round[]): string[] {
  const own = new Set(ownOf(allContenders(runs)));
  return rounds.flatMap(({ id, temperature, context, turns }) =>
    turns
      .filter(({ contender, same }) => own.has(contender) && !same)
      .map(({ contender, alike }) => {
        const where = context === null ? "" : `, context ${context}`;
        return `${contender} on ${id} (temperature ${temperature}${where}) after ${alike} tokens`;
      }),
  );
}

function equalText(runs: readonly Run[], rounds: readonly Round[]): string {
  const wrong = unequal(runs, rounds);
  const own = ownOf(allContenders(runs)).length;
  const ours =
    wrong.length === 0
      ? `All ${own} methods of Espalier gave the same text on every prompt`
      : `**Texts are not equal**: ${wrong.join("; ")}`;
  const others = allContenders(runs)
    .filter(({ engine }) => engine !== ESPALIER)
    .map(({ name }) => {
      const turns = rounds.flatMap((round) => round.turns.filter(({ contender }) => contender === name));
      return `${name} on ${turns.filter(({ same }) => same).length} of ${turns.length}`;
    });
  return `${ours}${others.length > 0 ? `; the same as that one: ${others.join(", ")}` : ""}.`;
}
