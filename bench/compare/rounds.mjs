/** @file Runs rounds: every contender answers a prompt in its turn, and what came of it is written down at once. */

import { appendFileSync } from "node:fs";
import { processorTime } from "../processes.mjs";
import { compiled } from "./compiled.mjs";

const { nextRound, turnOrder } = await compiled("order");
const { isDone, roundKey } = await compiled("records");

/**
 * Runs those of `prompts` ({ category, id, tokens, temperature, context }) that `results` has no round of, and adds the rounds to `results.rounds` and to its
 * file. Ends early, before a round for which the time does not suffice, at `deadline` (of performance.now()).
 */
export async function runRounds(workers, reader, prompts, { maxTokens, seed, deadline, results }) {
  const names = workers.map(({ name }) => name);
  const started = performance.now();
  let run = 0;
  for (const [at, prompt] of prompts.entries()) {
    if (isDone(results.rounds, roundKey(prompt), names)) continue;
    const each = (performance.now() - started) / Math.max(1, run);
    if (performance.now() + each > deadline) {
      process.stderr.write(
        `the time is over: ${prompts.length - at} of ${prompts.length} prompts are left out\n`,
      );
      break;
    }
    const { tokens, ...which } = prompt;
    const order = turnOrder(workers, nextRound(results.rounds, prompts, prompt));
    const turns = await round(order, workers, reader, { ...prompt, maxTokens, seed });
    const record = { type: "round", ...which, promptTokens: tokens.length, turns };
    results.rounds.push(record);
    appendFileSync(results.file, `${JSON.stringify(record)}\n`);
    run++;
    const left = ((performance.now() - started) / run) * (prompts.length - at - 1);
    process.stderr.write(
      `${at + 1} of ${prompts.length}: ${prompt.category} ${prompt.id}, ${Math.ceil(left / 60_000)} min left at most\n`,
    );
  }
}

/**
 * A prompt that is in no file, so that first passes are on nobody's clock. Before it, everybody has written for `ms` milliseconds: Espalier as
 * `Model.warmUp` does, which teaches its methods nothing, and others that prompt over and over.
 */
export async function warmUp(workers, reader, ms) {
  const tokens = reader.prompt({ kind: "chat", text: "Say in two sentences what a map is for." });
  for (const { ask, engine } of ms > 0 ? workers : []) {
    const end = performance.now() + ms;
    if (engine === "espalier") await ask("warmUp", { ms });
    else
      while (performance.now() < end)
        await ask("generate", { tokens, maxTokens: 64, temperature: 0, seed: 0 });
  }
  for (const { ask } of workers) await ask("generate", { tokens, maxTokens: 16, temperature: 0, seed: 0 });
}

async function round(order, workers, reader, { tokens, maxTokens, temperature, seed }) {
  const answers = new Map();
  let before = await processorTime(workers);
  for (const worker of order) {
    const answer = await worker.ask("generate", { tokens, maxTokens, temperature, seed });
    const after = await processorTime(workers);
    // Clocks of cores tick a hundred times a second: a turn may be over between two ticks.
    const all = Math.max(1, after.all - before.all);
    const waiting = workers.reduce(
      (sum, other, i) => sum + (other === worker ? 0 : after.byWorker[i] - before.byWorker[i]),
      0,
    );
    answers.set(worker, {
      ...answer,
      others: Math.max(0, after.others - before.others) / all,
      waiting: waiting / all,
    });
    before = after;
  }
  const plain = answers.get(workers[0]);
  const expected = reader.tokens(plain.text);
  return workers.map(({ name }, i) => {
    const answer = answers.get(workers[i]);
    return turnOf(name, answer, reader.tokens(answer.text), [plain, expected]);
  });
}

/** `own`: the tokens of its text; `plain`: the answer of the first worker, Espalier's plain one, and `expected` the tokens of that. */
function turnOf(name, answer, own, [plain, expected]) {
  const { text, ids, ended, generated, ...times } = answer;
  const different = expected.findIndex((token, i) => token !== own[i]);
  const tokens = own.length + (ended ? 1 : 0);
  return {
    contender: name,
    ...times,
    tokens,
    generated: generated ?? tokens,
    alike: different < 0 ? expected.length : different,
    // Ids say more than a text: two ways of cutting it are two texts.
    same: ids === undefined ? text === plain.text : ids.join() === plain.ids.join(),
  };
}
