/**
 * @file `npm run bench:batch`: what it costs and gains that texts share passes. One round after the other, with other prompts in each, and in each
 * the ways in turn: one user through the library, one through a service, several at once. Every text must be the same each way.
 *
 * Then the time to a first token, idle and beside texts that run, and how long these stood still meanwhile: the longest time between two of their
 * steps, in usual ones, and the longest in as long a time before, which is the machine's own doing.
 */

import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { readPrompts } from "../../dist/cli/prompts.js";
import { commit } from "../../dist/cli/version.js";
import { loadModel, Service } from "../../dist/index.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", short: "m" },
    method: { type: "string" },
    prompts: { type: "string", default: "bench/replay/prompts.jsonl" },
    users: { type: "string", default: "4" },
    tokens: { type: "string", default: "128" },
    rounds: { type: "string", default: "5" },
  },
});
const [users, maxTokens, rounds] = ["users", "tokens", "rounds"].map((name) => {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new RangeError(`--${name} is ${values[name]}; give an integer of at least 1`);
});

const model = await loadModel(values.model);
// Prompts come again in each way, so nothing of them may be held.
const service = new Service(model, { running: users, prefixBytes: 0 });
const prompts = (await readPrompts(values.prompts)).map(({ kind, system, turns: [content] }) => ({
  ...(kind === "completion"
    ? { prompt: content }
    : { messages: [...(system ? [{ role: "system", content: system }] : []), { role: "user", content }] }),
  ...(values.method && { method: values.method }),
}));

const textOf = ({ prompt, messages }) => prompt ?? messages.at(-1).content;

/** Reads a text to its end: its tokens, and when each event came. */
async function read(through, request) {
  const start = performance.now();
  const times = [];
  for await (const event of through.generate(request)) {
    if (event.type === "end") return { tokens: event.tokens, times, start, stats: event.stats };
    times.push(performance.now());
  }
  throw new Error("a text without an end");
}

async function timed(work) {
  const start = performance.now();
  const texts = await work();
  const ms = performance.now() - start;
  const tokens = texts.reduce((sum, text) => sum + text.tokens.length, 0);
  const passes = texts.reduce((sum, { stats }) => sum + stats.passes, 0);
  return { rate: (1000 * tokens) / ms, mat: tokens / passes, ids: texts.map(({ tokens }) => tokens.join()) };
}

async function oneByOne(through, requests) {
  const texts = [];
  for (const request of requests) texts.push(await read(through, request));
  return texts;
}

const WAYS = {
  "one user, generate": (requests) => oneByOne(model, requests),
  "one user, service": (requests) => oneByOne(service, requests),
  [`${users} users, service`]: (requests) => Promise.all(requests.map((request) => read(service, request))),
};

function quartiles(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = (part) => {
    const place = part * (sorted.length - 1);
    return (sorted[Math.floor(place)] + sorted[Math.ceil(place)]) / 2;
  };
  return { low: at(0.25), median: at(0.5), high: at(0.75) };
}
const show = (numbers, digits = 2) => {
  const { low, median, high } = quartiles(numbers);
  return `${median.toFixed(digits)} (${low.toFixed(digits)}-${high.toFixed(digits)})`;
};
const pick = (round) => {
  return Array.from({ length: users }, (_, i) => prompts[(round * users + i) % prompts.length]);
};

const names = Object.keys(WAYS);
const results = Object.fromEntries(names.map((name) => [name, []]));
for (let round = -1; round < rounds; round++) {
  const requests = pick(round + 1).map((request) => ({ ...request, maxTokens }));
  let ids;
  // The tokenizer takes longer over words that it has not seen.
  await oneByOne(
    model,
    requests.map((request) => ({ ...request, maxTokens: 1 })),
  );
  // Each way goes first, and behind each other one, as often as the others.
  const turns = names.map((_, turn) => names[(turn + round + 1) % names.length]);
  for (const name of round % 2 ? turns : turns.reverse()) {
    const result = await timed(() => WAYS[name](requests));
    ids ??= result.ids;
    if (ids.join(";") !== result.ids.join(";")) throw new Error(`other texts: ${name}, round ${round}`);
    if (round >= 0) results[name].push(result);
  }
}
for (const name of names) {
  const rates = results[name].map(({ rate }) => rate);
  console.log(
    `${name.padEnd(20)} ${show(rates, 1)} tokens/s, MAT ${show(results[name].map(({ mat }) => mat))}`,
  );
}
const over = (a, b) => results[names[a]].map(({ rate }, i) => rate / results[names[b]][i].rate);
console.log(`service / generate   ${show(over(1, 0), 3)}`);
console.log(`${users} users / 1          ${show(over(2, 0), 2)}`);

const idle = [];
const loaded = [];
const stalls = [];
const before = [];
for (let round = 0; round < rounds; round++) {
  const [newest, ...others] = pick(round + 1);
  const first = async () => {
    const { start, times } = await read(service, { ...newest, maxTokens: 1 });
    return times[0] - start;
  };
  idle.push(await first());
  const stop = new AbortController();
  const steps = others.map(() => []);
  let over = 0;
  const running = others.map(async (request, i) => {
    const onStep = () => steps[i].push(performance.now());
    for await (const _ of service.generate({ ...request, onStep, signal: stop.signal }));
    over++;
  });
  while (over === 0 && steps.some((times) => times.length < 24))
    await new Promise((resolve) => setTimeout(resolve, 1));
  const from = performance.now();
  loaded.push(await first());
  const to = performance.now();
  stop.abort();
  await Promise.all(running);
  for (const times of steps) {
    const gaps = times.slice(1).map((time, i) => ({ ms: time - times[i], time }));
    const longest = (start, end) =>
      Math.max(...gaps.filter(({ time }) => time >= start && time <= end).map(({ ms }) => ms));
    const usual = quartiles(gaps.filter(({ time }) => time < from).map(({ ms }) => ms)).median;
    if (!gaps.some(({ time }) => time >= from && time <= to)) continue;
    stalls.push(longest(from, to) / usual);
    before.push(longest(Math.max(gaps[0].time, from - (to - from)), from) / usual);
  }
}
console.log(`first token, idle    ${show(idle, 1)} ms`);
console.log(
  `first token beside ${users - 1} ${show(loaded, 1)} ms, ${show(loaded.map((ms, i) => ms / idle[i]))} times the idle one`,
);
const worst = (numbers) => `${show(numbers)}, worst ${Math.max(...numbers).toFixed(2)}`;
const above = (numbers) => `${numbers.filter((times) => times > 4).length} of ${numbers.length} above 4`;
if (stalls.length > 0) {
  console.log(`they stood still for ${worst(stalls)} usual steps at most, ${above(stalls)}`);
  console.log(`in as long before    ${worst(before)}, ${above(before)}`);
}
const keeping = new Service(model);
const reading = [];
const copying = [];
let cached = 0;
for (let round = 0; round < rounds; round++) {
  const texts = Array.from({ length: 40 }, (_, i) => textOf(prompts[(round + i) % prompts.length]));
  // About 600 tokens.
  const request = { prompt: texts.join(" ").slice(0, 2400), maxTokens: 1 };
  for (const times of [reading, copying]) {
    const { start, times: events, stats } = await read(keeping, request);
    times.push(events[0] - start);
    cached = stats.cachedTokens;
  }
}
console.log(
  `first token of a prompt that is read ${show(reading, 1)} ms, of ${cached} tokens that are copied ${show(copying, 1)} ms`,
);
await keeping[Symbol.asyncDispose]();
console.log(
  `${cpus()[0]?.model}, ${availableParallelism()} cores, ${model.name}, method ${values.method ?? model.defaultMethod}, ${maxTokens} tokens, ${rounds} rounds, ${commit()}`,
);
await service[Symbol.asyncDispose]();
await model[Symbol.asyncDispose]();
