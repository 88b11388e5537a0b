/**
 * @file `npm run bench:warm-up`: what a warm-up (`Model.warmUp`) is worth to the first texts of a process. New processes take turns: one warms up before it
 * is asked, the other waits as long. Both write the same texts, one at a time; figures are means of the ratios of their tokens/s, by place in the process.
 */

import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readPrompts, spread } from "../../dist/cli/prompts.js";
import { commit } from "../../dist/cli/version.js";
import { startWorker } from "../processes.mjs";

const USAGE = `usage: npm run bench:warm-up -- --prompts FILE [--model M] [--method NAME] [--ms N]
  [--texts N] [--tokens N] [--temperature T] [--rounds R]`;

function readOptions() {
  const { values } = parseArgs({
    options: {
      prompts: { type: "string" },
      model: { type: "string", short: "m", default: "smollm2-135m" },
      method: { type: "string", default: "auto" },
      ms: { type: "string", default: "4000" },
      texts: { type: "string", default: "6" },
      tokens: { type: "string", default: "96" },
      temperature: { type: "string", default: "0" },
      rounds: { type: "string", default: "6" },
    },
  });
  if (values.prompts === undefined) throw new TypeError(`--prompts is missing; ${USAGE}`);
  const numbers = {};
  for (const [name, least] of Object.entries({ ms: 1, texts: 1, tokens: 2, temperature: 0, rounds: 2 })) {
    numbers[name] = Number(values[name]);
    if (!(numbers[name] >= least))
      throw new RangeError(`--${name} is ${values[name]}; give at least ${least}; ${USAGE}`);
  }
  return { prompts: values.prompts, model: values.model, method: values.method, ...numbers };
}

/** Mean of logarithms as a ratio, with its standard error. */
function ratioOf(ratios) {
  const logs = ratios.map(Math.log);
  const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length;
  const spread = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0);
  return `${Math.exp(mean).toFixed(2)} ± ${Math.sqrt(spread / logs.length / (logs.length - 1)).toFixed(2)}`;
}

async function main() {
  const { prompts: file, texts, tokens: maxTokens, temperature, method, rounds, model, ms } = readOptions();
  const prompts = spread(await readPrompts(file), rounds * texts);
  const speeds = { waited: [], warm: [] };
  const written = { waited: [], warm: [] };
  for (let round = 0; round < rounds; round++) {
    const kinds = round % 2 === 0 ? ["waited", "warm"] : ["warm", "waited"];
    for (const kind of kinds) {
      const options = { model, ms, warm: kind === "warm" };
      const worker = await startWorker(kind, join(import.meta.dirname, "worker.mjs"), options);
      for (let place = 0; place < texts; place++) {
        const { turns, kind: form } = prompts[(round * texts + place) % prompts.length];
        const text =
          form === "completion" ? { prompt: turns[0] } : { messages: [{ role: "user", content: turns[0] }] };
        const request = { ...text, maxTokens, temperature, seed: place, method };
        const { tokens, speed } = await worker.ask("write", request);
        speeds[kind].push(speed);
        written[kind].push(tokens.join());
      }
      worker.child.disconnect();
    }
  }
  const different = written.warm.filter((text, i) => text !== written.waited[i]).length;
  const places = Array.from({ length: texts }, (_, place) => place);
  const ratios = speeds.warm.map((speed, i) => speed / speeds.waited[i]);
  console.log(`| text | tokens/s, waited | warmed up for ${ms} ms | ratio |\n|---|---|---|---|`);
  const row = (name, chosen) => {
    const median = (list) => list.filter(chosen).toSorted((a, b) => a - b)[list.filter(chosen).length >> 1];
    const figures = [median(speeds.waited), median(speeds.warm)].map((speed) => speed.toFixed(0));
    console.log(`| ${name} | ${figures.join(" | ")} | ${ratioOf(ratios.filter(chosen))} |`);
  };
  for (const place of places) row(place + 1, (_, i) => i % texts === place);
  row("all", (_, i) => i % texts < texts);
  console.log(`texts that differ: ${different} of ${ratios.length}`);
  const machine = `${cpus()[0]?.model}, ${availableParallelism()} cores, Node ${process.version}`;
  console.log(`${model}, ${method}, temperature ${temperature}; ${rounds} rounds; ${machine}; ${commit()}`);
  if (different > 0) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench:warm-up: ${error.message}\n`);
  process.exitCode = 1;
}
