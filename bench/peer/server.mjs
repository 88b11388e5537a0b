/**
 * @file `npm run bench:peer-server -- -m smollm2-135m`: `espalier serve` and node-llama-cpp behind a minimal server, on the same model, in turns: one
 * user, who asks again when he has his answer, and several at once. All get the same token ids and may write as many tokens; what they
 * wrote is counted by one tokenizer, from the texts of the replies. Each cell has prompts of its own, so that nobody learns from another's.
 */

import { spawn } from "node:child_process";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findModel } from "../../dist/checkpoint/find-model.js";
import { readPrompts } from "../../dist/cli/prompts.js";
import { commit } from "../../dist/cli/version.js";
import { loadModel } from "../../dist/index.js";
import { installLlama } from "./llama.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string", short: "m", default: "smollm2-135m" },
    prompts: { type: "string", default: "bench/replay/prompts.jsonl" },
    users: { type: "string", default: "4" },
    tokens: { type: "string", default: "128" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: `${availableParallelism()}` },
  },
});
const [users, tokens, rounds, threads] = ["users", "tokens", "rounds", "threads"].map((name) => {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new RangeError(`--${name} is ${values[name]}; give an integer of at least 1`);
});
/** Tokens of the longest prompt. */
const LONGEST = 800;

installLlama();
const path = await findModel(values.model);
const { parts } = await loadModel(path, { threads: 1, passTimes: false });
const prompts = (await readPrompts(values.prompts))
  .map(({ kind, system, turns: [content] }) => {
    if (kind === "completion") return parts.tokenizer.encode(content, { special: false });
    const messages = [...(system ? [{ role: "system", content: system }] : []), { role: "user", content }];
    const text = parts.chatTemplate.render(messages, { addGenerationPrompt: true });
    return parts.tokenizer.encode(text, { special: true });
  })
  .filter(({ length }) => length <= LONGEST);

/** Starts a server that prints its address; its next line, if it is JSON, says what it runs on. */
async function start(...args) {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let shown = "";
  for await (const part of child.stdout.setEncoding("utf8")) {
    shown += part;
    const address = /address +(http\S+)/.exec(shown)?.[1].replace(",", "");
    const rest = shown.slice(shown.indexOf("\n", shown.indexOf("address")));
    if ((address && rest.trim().includes("\n")) || rest.includes("}")) return { child, address, shown };
  }
  throw new Error(`a server ended: ${shown}`);
}

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const common = [
  "--port",
  "0",
  "--quiet",
  "--threads",
  `${threads}`,
  "--prefix-cache",
  "0",
  "--parallel",
  `${users}`,
];
const espalier = await start(file("../../dist/cli/main.js"), "serve", "-m", path, ...common);
const llama = await start(file("llama-server.mjs"), path, `${threads}`, `${users}`);
const { version, llamaCpp, library } = JSON.parse(/\{.*\}/.exec(llama.shown)[0]);

const CONTENDERS = {
  "espalier serve": { address: espalier.address },
  "espalier serve, plain": { address: espalier.address, x_espalier: { method: "plain" } },
  "node-llama-cpp": { address: llama.address },
};

/** Tokens of an answer's text. */
async function ask({ address, ...more }, prompt) {
  const response = await fetch(`${address}/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: parts.name, prompt, max_tokens: tokens, temperature: 0, ...more }),
  });
  const reply = await response.json();
  if (!response.ok) throw new Error(reply.error.message);
  return parts.tokenizer.encode(reply.choices[0].text, { special: false }).length;
}

const WAYS = {
  "1 user": async (contender, asked) => {
    let sum = 0;
    for (const prompt of asked) sum += await ask(contender, prompt);
    return sum;
  },
  [`${users} users`]: async (contender, asked) => {
    const counts = await Promise.all(asked.map((prompt) => ask(contender, prompt)));
    return counts.reduce((a, b) => a + b);
  },
};

const names = Object.keys(CONTENDERS);
const ways = Object.keys(WAYS);
const rates = Object.fromEntries(
  names.map((name) => [name, Object.fromEntries(ways.map((way) => [way, []]))]),
);
let next = 0;
// The first round warms up.
for (let round = -1; round < rounds; round++) {
  for (const way of ways) {
    const asked = Array.from({ length: users }, () => prompts[next++ % prompts.length]);
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(turn + round + 1) % names.length];
      const began = performance.now();
      const written = await WAYS[way](CONTENDERS[name], asked);
      if (round >= 0) rates[name][way].push((1000 * written) / (performance.now() - began));
    }
  }
}
espalier.child.kill();
llama.child.kill();

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const cell = (numbers, digits = 0) => {
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  return `${median(numbers).toFixed(digits)} (${least.toFixed(digits)}-${most.toFixed(digits)})`;
};
const base = rates["node-llama-cpp"];
const rows = names.map((name) => [
  name,
  ...ways.map((way) => cell(rates[name][way])),
  ...ways.map((way) => median(rates[name][way].map((rate, i) => rate / base[way][i])).toFixed(2)),
]);
const head = ["tokens/s, prompts included", ...ways, ...ways.map((way) => `${way}, times node-llama-cpp`)];
for (const row of [head, head.map(() => "---"), ...rows]) console.log(`| ${row.join(" | ")} |`);
console.log(
  `\n${cpus()[0]?.model}, ${threads} threads; ${parts.name}, ${users} prompts of at most ${LONGEST} tokens each, ${tokens} tokens, ${rounds} rounds, medians with range; espalier ${commit()}, node-llama-cpp ${version} (llama.cpp ${llamaCpp}, ${library})`,
);
process.exit(0);
