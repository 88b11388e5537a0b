/**
 * @file `npm run bench:contention`: tokens a second while other programs keep every core busy, and how soon the speed is back.
 *
 * Quiet and busy spells take turns. In a busy one there is one process for each core that does nothing but count, at the
 * same priority. The text of every spell must be the same.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { loadModel } from "../../dist/index.js";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    "draft-model": { type: "string" },
    method: { type: "string", default: "plain" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: String(availableParallelism()) },
    busy: { type: "string", default: String(availableParallelism()) },
    json: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const threads = Number(values.threads);
const PROMPT = "Once upon a time, in a small town by the sea, there lived a clockmaker who";
const SPELL_TOKENS = 300;
/** Tokens of a window when the return to full speed is looked for. */
const WINDOW = 20;

const model = await loadModel(values.model, {
  threads,
  ...(values["draft-model"] && { draftModel: values["draft-model"] }),
});

/** When each token came, in ms, and the text. */
async function spell() {
  const times = [];
  let text = "";
  const events = model.generate({ prompt: PROMPT, maxTokens: SPELL_TOKENS, method: values.method });
  for await (const event of events) {
    if (event.type !== "text") continue;
    text += event.text;
    // A step that several tokens come out of gives them all at once.
    for (const _ of event.pieces) times.push(performance.now());
  }
  return { times, text };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const spread = (numbers) => ({
  median: median(numbers),
  min: Math.min(...numbers),
  max: Math.max(...numbers),
});
const msPerToken = (times) => (times.at(-1) - times[0]) / (times.length - 1);

const texts = new Set();
const quiet = [];
const busy = [];
const back = [];
await spell();
for (let round = 0; round < rounds; round++) {
  const before = await spell();
  const others = Array.from({ length: Number(values.busy) }, () =>
    spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }),
  );
  await Promise.all(others.map((other) => once(other, "spawn")));
  await new Promise((resolve) => setTimeout(resolve, 200));
  const during = await spell();
  const gone = others.map((other) => once(other, "exit"));
  for (const other of others) other.kill("SIGKILL");
  await Promise.all(gone);
  const freed = performance.now();
  const after = await spell();
  for (const { text } of [before, during, after]) texts.add(text);
  quiet.push(1000 / msPerToken(before.times));
  busy.push(1000 / msPerToken(during.times));
  const usual = msPerToken(before.times);
  const windows = after.times.slice(WINDOW).map((time, i) => (time - after.times[i]) / WINDOW);
  const found = windows.findIndex((ms) => ms < 1.15 * usual);
  back.push(found < 0 ? Number.POSITIVE_INFINITY : after.times[found] - freed);
  console.error(
    `round ${round + 1} of ${rounds}: ${quiet.at(-1).toFixed(0)} tokens/s alone, ${busy.at(-1).toFixed(0)} beside ${others.length} busy processes, back after ${back.at(-1).toFixed(0)} ms`,
  );
}
const result = {
  method: values.method,
  threads,
  busyProcesses: Number(values.busy),
  quiet: spread(quiet),
  busy: spread(busy),
  share: spread(busy.map((speed, i) => speed / quiet[i])),
  backAfterMs: spread(back),
  sameText: texts.size === 1,
};
if (values.json) console.log(JSON.stringify(result));
else {
  console.log(
    `beside busy processes ${(100 * result.share.median).toFixed(0)} % of the undisturbed speed; back after ${result.backAfterMs.median.toFixed(0)} ms; same text: ${result.sameText ? "yes" : "NO"}`,
  );
}
process.exit(result.sameText ? 0 : 1);
