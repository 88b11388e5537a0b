/**
 * @file `npm run bench:batch`: what it costs and gains that texts share passes. One round after the other, with other prompts in each, and in each
 * the ways in turn: one user through the library, one through a service, several at once. Every text must be the same each way.
 *
 * `--methods a,b` takes them in turns, too. Each has a model of its own, so that none learns from texts that another has written before.
 *
 * Then the time to a first token, idle and beside texts that run, and how long these stood still meanwhile: the longest time between two of their
 * steps, in usual ones, and the longest in as long a time before, which is the machine's own doing.
 */

import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { readPrompts } from "../../dist/cli/prompts.js";
import { commit } from "../../dist/cli/version.js";
import { defaultMethod, loadModel, Service } from "../../dist/index.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", short: "m" },
    methods: { type: "string" },
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

/** A model, and a service that holds nothing of past texts: what comes again in the second part is to be read. */
async function load() {
  const model = await loadModel(values.model);
  return { model, service: new Service(model, { running: users, prefixBytes: 0 }) };
}

const prompts = (await readPrompts(values.prompts)).map(({ kind, system, turns: [content] }) =>
  kind === "completion"
    ? { prompt: content }
    : { messages: [...(system ? [{ role: "system", content: system }] : []), { role: "user", content }] },
);
const methods = values.methods?.split(",") ?? [defaultMethod];

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
  "one user, generate": ({ model }, requests) => oneByOne(model, requests),
  "one user, service": ({ service }, requests) => oneByOne(service, requests),
  [`${users} users, service`]: ({ service }, requests) =>
    Promise.all(requests.map((request) => read(service, request))),
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

const ways = Object.keys(WAYS);
const cells = [];
for (const method of methods)
  for (const way of ways) cells.push({ method, way, ...(await load()), results: [] });
for (let round = -1; round < rounds; round++) {
  const requests = pick(round + 1).map((request) => ({ ...request, maxTokens }));
  let ids;
  // A tokenizer takes longer over words that it has not seen.
  const once = requests.map((request) => ({ ...request, maxTokens: 1, method: "plain" }));
  for (const { model } of cells) await oneByOne(model, once);
  // Each cell goes first, and behind each other one, as often as the others.
  const turns = cells.map((_, turn) => cells[(turn + round + 1) % cells.length]);
  for (const { method, way, model, service, results } of round % 2 ? turns : turns.reverse()) {
    const own = requests.map((request) => ({ ...request, method }));
    const result = await timed(() => WAYS[way]({ model, service }, own));
    ids ??= result.ids;
    if (ids.join(";") !== result.ids.join(";"))
      throw new Error(`other texts: ${method}, ${way}, round ${round}`);
    if (round >= 0) results.push(result);
  }
}
for (const { method, way, results } of cells) {
  const rates = results.map(({ rate }) => rate);
  const mats = results.map(({ mat }) => mat);
  console.log(`${method}, ${way}: ${show(rates, 1)} tokens/s, MAT ${show(mats)}`);
}
const over = (a, b) =>
  show(
    a.results.map(({ rate }, i) => rate / b.results[i].rate),
    3,
  );
for (const [i, method] of methods.entries()) {
  const [generate, service, all] = cells.slice(i * ways.length);
  console.log(
    `${method}: service / generate ${over(service, generate)}, ${users} users / 1 ${over(all, generate)}`,
  );
  for (const [at, way] of ways.entries()) {
    const [own, first] = [cells[i * ways.length + at], cells[at]];
    if (i > 0) console.log(`${methods[0]} / ${method}, ${way}: ${over(first, own)}`);
  }
}

/** The time to a first token of `method`, idle and beside texts that run, and how long these stood still. */
async function firstTokens({ method, service }) {
  const idle = [];
  const loaded = [];
  const stalls = [];
  const before = [];
  for (let round = 0; round < rounds; round++) {
    const [newest, ...others] = pick(round + 1).map((request) => ({ ...request, method }));
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
      // Texts that were over by then, or had only begun, tell nothing.
      if (Number.isNaN(usual) || !gaps.some(({ time }) => time >= from && time <= to)) continue;
      stalls.push(longest(from, to) / usual);
      before.push(longest(Math.max(gaps[0].time, from - (to - from)), from) / usual);
    }
  }
  const times = show(loaded.map((ms, i) => ms / idle[i]));
  console.log(
    `${method}: first token, idle ${show(idle, 1)} ms; beside ${users - 1} ${show(loaded, 1)} ms, ${times} times the idle one`,
  );
  const worst = (numbers) => `${show(numbers)}, worst ${Math.max(...numbers).toFixed(2)}`;
  const above = (numbers) => `${numbers.filter((times) => times > 4).length} of ${numbers.length} above 4`;
  if (stalls.length > 0) {
    console.log(`  they stood still for ${worst(stalls)} usual steps at most, ${above(stalls)}`);
    console.log(`  in as long before    ${worst(before)}, ${above(before)}`);
  }
}
for (const [i] of methods.entries()) await firstTokens(cells[(i + 1) * ways.length - 1]);
const { model } = cells[0];
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
  `${cpus()[0]?.model}, ${availableParallelism()} cores, ${model.name}, ${maxTokens} tokens, ${rounds} rounds, ${commit()}`,
);
for (const { model, service } of cells) {
  await service[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
}
