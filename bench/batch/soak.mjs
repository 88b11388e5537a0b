/**
 * @file `npm run soak -- --minutes 30`: mixed load on a server, over loopback, for as long as asked. More users than it has places for come and go:
 * short and long prompts that begin alike, second turns, methods, seeds, streams and whole replies; some abort, some leave, some are slow,
 * some are refused. Fails when a text is not the one of plain decoding alone, when one stands still, when a reply is no success and no
 * refusal, or when resident memory grows by more than 5 %. Says what the parts of it take, so that a leak can be told from something that fills
 * up to its bound. Time in which the process itself was stopped does not count. `--prefixes` are the megabytes of past texts' caches, `--method` is one
 * for all requests that name one.
 */

import { parseArgs } from "node:util";
import { Agent, fetch } from "undici";
import { version } from "../../dist/engine/version.js";
import { loadModel, Service } from "../../dist/index.js";
import { createApp } from "../../dist/server/app.js";
import { listen } from "../../dist/server/listen.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", short: "m" },
    minutes: { type: "string", default: "30" },
    users: { type: "string", default: "14" },
    seed: { type: "string", default: "1" },
    prefixes: { type: "string", default: "48" },
    method: { type: "string" },
  },
});
const [minutes, users, prefixes] = [values.minutes, values.users, values.prefixes].map(Number);
if (!(minutes > 0)) throw new RangeError(`--minutes is ${values.minutes}; give a number above 0`);
if (!(Number.isInteger(users) && users >= 1))
  throw new RangeError(`--users is ${values.users}; give an integer`);
const MOST_GROWTH = 0.05;
/** Milliseconds after which a text that gives nothing is stuck. */
const STUCK = 60_000;
/** Milliseconds between two heartbeats, and after how many the process must have been stopped. */
const BEAT = 1000;
const STOPPED = 4000;
/** Different requests. */
const KINDS = 60;

let state = Number(values.seed) >>> 0;
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

const model = await loadModel(values.model);
const service = new Service(model, { running: 8, waiting: 4, prefixBytes: prefixes * 2 ** 20 });
/** A connection for each request, as most clients of a day have: kept ones would run out of time while the process is stopped. */
const dispatcher = new Agent({ pipelining: 0, headersTimeout: 0, bodyTimeout: 0 });
let failure;
const fail = (error) => {
  failure ??= error;
};
const app = createApp(service, { version: version(), onFault: fail });
const server = await listen(app, { host: "127.0.0.1", port: 0 });
const STORY =
  "Once upon a time there was a little dog who lived in a house by the sea with a girl named Mia. ";
const words = ["The dog", "One day", "Mia said", "In the night", "Then a big bird", "Her mother"];
const longest = Math.floor(model.contextLength / 2);

/** The request of a number: always the same. */
function requestOf(kind) {
  const prompt = STORY.repeat(1 + (kind % 4)) + words[kind % words.length];
  const methods = values.method === undefined ? model.methodNames : [values.method];
  return {
    model: model.name,
    prompt,
    stream: kind % 5 > 0,
    max_tokens: Math.min(longest, [4, 30, 60, 150][kind % 4]),
    ...(kind % 3 > 0 && { x_espalier: { method: methods[kind % methods.length] } }),
    ...(kind % 2 === 1 ? { temperature: 0.8, seed: kind } : { temperature: 0 }),
  };
}

const secondTurn = (prompt, text) => `${prompt}${text} And then`;
/** By request, the text that it gets alone, in plain decoding. */
const alone = new Map();
for (let kind = 0; kind < KINDS; kind++) {
  const { prompt, max_tokens: maxTokens, temperature, seed } = requestOf(kind);
  const settings = { maxTokens, temperature, ...(seed !== undefined && { seed }), method: "plain" };
  const write = async (prompt) => {
    for await (const event of model.generate({ ...settings, prompt }))
      if (event.type === "end") return event.text;
  };
  alone.set(`${kind}`, await write(prompt));
  alone.set(`${kind}+`, await write(secondTurn(prompt, alone.get(`${kind}`))));
}
/** Milliseconds that the process was stopped. */
let stopped = 0;
const counts = { texts: 0, passes: 0, aborted: 0, cut: 0, left: 0, refused: 0, reused: 0 };
const alive = new Map();
let end = performance.now() + minutes * 60_000;

/** A text must be the one that its request gets alone, or begin it when it was cut off. */
function check(key, text, whole) {
  const right = alone.get(key);
  if (whole ? text !== right : !right.startsWith(text))
    throw new Error(`request ${key} has another text alone`);
}

/** The replies of a stream, or the one there is. */
async function* repliesOf(response, stream) {
  if (!stream) return yield await response.json();
  let text = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (text + part).split("\n\n");
    text = events.pop();
    for (const event of events) if (event !== "data: [DONE]") yield JSON.parse(event.slice("data: ".length));
  }
}

async function one(user, key, request) {
  const stop = new AbortController();
  const fate = random(6);
  const events = 1 + random(20);
  const stoppedBefore = stopped;
  if (fate === 0) setTimeout(() => stop.abort(), random(200));
  let text = "";
  let seen = 0;
  alive.set(user, performance.now());
  try {
    const response = await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify(request),
      headers: { "content-type": "application/json" },
      signal: stop.signal,
      dispatcher,
    });
    if (response.status === 429) {
      await response.text();
      counts.refused++;
      await new Promise((resolve) => setTimeout(resolve, 20 + random(100)));
      return undefined;
    }
    if (!response.ok) throw new Error(`status ${response.status}: ${await response.text()}`);
    for await (const { choices, usage, x_espalier, error } of repliesOf(response, request.stream)) {
      alive.set(user, performance.now());
      if (error) throw new Error(error.message);
      text += choices[0].text;
      if (choices[0].finish_reason) {
        check(key, text, true);
        counts.texts++;
        counts.passes += x_espalier.passes;
        if (usage?.prompt_tokens_details.cached_tokens > 0) counts.reused++;
        return text;
      }
      if (++seen !== events) continue;
      if (fate === 1) {
        counts.left++;
        check(key, text, false);
        return undefined;
      }
      // A reader that is slow.
      if (fate === 2) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`request ${key} ended without a reason`);
  } catch (error) {
    if (!stop.signal.aborted) {
      // The server may have lost patience with who was stopped, as it should.
      await new Promise((resolve) => setTimeout(resolve, 2 * BEAT));
      if (!/^(fetch failed|terminated|status 408)/.test(error.message) || stopped === stoppedBefore)
        throw new Error(`${error.message} ${error.cause?.message ?? ""}`, { cause: error });
      counts.cut++;
    } else counts.aborted++;
    check(key, text, false);
  } finally {
    alive.delete(user);
  }
  return undefined;
}

async function come(user) {
  while (failure === undefined && performance.now() < end) {
    const kind = random(KINDS);
    const request = requestOf(kind);
    const text = await one(user, `${kind}`, request);
    // A second turn, which what the first one read serves again.
    if (text !== undefined && random(2) === 0)
      await one(user, `${kind}+`, { ...request, prompt: secondTurn(request.prompt, text) });
  }
}

/**
 * Megabytes by what takes them. Engine: weights, caches (those of past texts up to their bound) and buffers. Kept: freed caches for the next
 * texts, at most 96. Rest: Node's program, its allocator with what it holds in reserve, code, stacks; and, negative, memory that was taken and not touched.
 */
async function memory() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { rss: resident, heapUsed, heapTotal, arrayBuffers: buffers } = process.memoryUsage();
  const { prefixBytes: prefixes, engineBytes: engine = 0, engineKeptBytes: kept = 0 } = service.load;
  const rest = resident - heapTotal - buffers - engine - kept;
  const parts = { resident, heap: heapTotal, "heap in use": heapUsed, buffers, engine, prefixes, kept, rest };
  return Object.fromEntries(Object.entries(parts).map(([name, bytes]) => [name, bytes / 2 ** 20]));
}

const shown = (parts) =>
  Object.entries(parts)
    .map(([name, mb]) => `${name} ${mb.toFixed(1)}`)
    .join(", ");

const samples = [];
const every = Math.max(1000, (minutes * 60_000) / 60);
let beat = performance.now();
const heart = setInterval(() => {
  const now = performance.now();
  if (now - beat > STOPPED) {
    stopped += now - beat;
    end += now - beat;
    for (const user of alive.keys()) alive.set(user, now);
  }
  beat = now;
  for (const [user, time] of alive) {
    if (now - time > STUCK) fail(new Error(`the text of user ${user} stands still`));
  }
}, BEAT);
/** Bytes of freed caches that the engine keeps at most (native/memory.c). */
const KEPT = 96 * 2 ** 20;

/** Brings what the engine keeps of freed caches to its bound, beside what the load has, so that what grows from then on is a leak. */
async function fill() {
  const caches = [];
  for (let bytes = 0; bytes < KEPT; bytes += caches.at(-1).bytes)
    caches.push(await model.parts.target.createSequence({ capacity: longest, length: longest }));
  for (const cache of caches) await cache[Symbol.asyncDispose]();
}

const filling = setTimeout(() => fill().catch(fail), 11.5 * every);
const watch = setInterval(async () => {
  samples.push(await memory());
  if (samples.length % 6 === 0) {
    const { running, waiting } = service.load;
    console.error(shown(samples.at(-1)), JSON.stringify({ ...counts, running, waiting }));
  }
}, every);

await Promise.race([
  Promise.all(Array.from({ length: users }, (_, user) => come(user).catch(fail))),
  // Whoever is stuck does not come back to say so.
  new Promise((resolve) => setInterval(() => failure && resolve(), 1000).unref()),
]);
// Closing waits for texts whose readers have left.
if (!failure)
  await Promise.race([
    server.close(),
    new Promise((resolve) => setTimeout(resolve, STUCK).unref()).then(() =>
      fail(new Error("a text does not end")),
    ),
  ]);
clearInterval(heart);
clearInterval(watch);
clearTimeout(filling);
if (failure) {
  console.error(`soak: ${failure.message}`);
  process.exit(1);
}
const { running, waiting } = service.load;
if (running + waiting > 0) throw new Error(`${running} texts run and ${waiting} wait when all are over`);
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const fifth = Math.max(1, Math.floor(samples.length / 5));
// The first fifth warms up, and ends with all bounds reached.
const fifths = [1, 2, 3, 4].map((i) => samples.slice(i * fifth, (i + 1) * fifth));
fifths[3] = samples.slice(-fifth);
const parts = Object.keys(samples[0]).map((name) => [
  name,
  fifths.map((of) => median(of.map((mb) => mb[name]))),
]);
const [before, , , after] = parts[0][1];
const growth = after / before - 1;
await service[Symbol.asyncDispose]();
await model[Symbol.asyncDispose]();
console.log(
  `${minutes} minutes (stopped for ${(stopped / 60_000).toFixed(1)} more), ${users} users, ${model.name}: ${JSON.stringify(counts)}`,
);
console.log("MB by part, medians of the second fifth to the last:");
for (const [name, megabytes] of parts)
  console.log(`  ${name.padEnd(12)}${megabytes.map((mb) => mb.toFixed(1).padStart(8)).join("")}`);
console.log(`resident memory grew by ${(100 * growth).toFixed(1)} %`);
process.exit(growth <= MOST_GROWTH ? 0 : 1);
