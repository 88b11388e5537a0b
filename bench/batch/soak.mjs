/**
 * @file `npm run soak -- --minutes 30`: mixed load on a service for as long as asked. More users than it has places for come and go: short and
 * long prompts that begin alike, second turns, methods, seeds; some abort, some leave, some are refused. Fails when a text differs from
 * that of the same request before, when one stands still, or when resident memory grows by more than 5 %.
 */

import { parseArgs } from "node:util";
import { EspalierError, loadModel, Service } from "../../dist/index.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", short: "m" },
    minutes: { type: "string", default: "30" },
    users: { type: "string", default: "14" },
    seed: { type: "string", default: "1" },
  },
});
const [minutes, users] = [values.minutes, values.users].map(Number);
if (!(minutes > 0)) throw new RangeError(`--minutes is ${values.minutes}; give a number above 0`);
if (!(Number.isInteger(users) && users >= 1))
  throw new RangeError(`--users is ${values.users}; give an integer`);
const MOST_GROWTH = 0.05;
/** Milliseconds after which a text that gives nothing is stuck. */
const STUCK = 60_000;
/** Different requests. */
const KINDS = 60;

let state = Number(values.seed) >>> 0;
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

const model = await loadModel(values.model);
const service = new Service(model, { running: 8, waiting: 4, prefixBytes: 48 * 2 ** 20 });
const STORY =
  "Once upon a time there was a little dog who lived in a house by the sea with a girl named Mia. ";
const words = ["The dog", "One day", "Mia said", "In the night", "Then a big bird", "Her mother"];
const longest = Math.floor(model.contextLength / 2);

/** The request of a number: always the same. */
function requestOf(kind) {
  const prompt = STORY.repeat(1 + (kind % 4)) + words[kind % words.length];
  const methods = model.methodNames;
  return {
    prompt,
    maxTokens: Math.min(longest, [4, 30, 60, 150][kind % 4]),
    ...(kind % 3 > 0 && { method: methods[kind % methods.length] }),
    ...(kind % 2 === 1 && { temperature: 0.8, seed: kind }),
  };
}

const known = new Map();
const counts = { texts: 0, tokens: 0, aborted: 0, left: 0, refused: 0, reused: 0 };
const alive = new Map();
let failure;
const end = performance.now() + minutes * 60_000;

/** Ids must be those of the same request before, or begin them or go on from them when it was cut off. */
function check(key, ids, whole) {
  const before = known.get(key);
  const length = Math.min(before?.ids.length ?? 0, ids.length);
  const same = before === undefined || before.ids.slice(0, length).join() === ids.slice(0, length).join();
  if (!same || (whole && before?.whole && before.ids.length !== ids.length)) {
    throw new Error(`request ${key} had another text before`);
  }
  if (before === undefined || whole || (!before.whole && ids.length > before.ids.length))
    known.set(key, { ids, whole });
}

async function one(user, key, request) {
  const stop = new AbortController();
  const fate = random(6);
  const events = 1 + random(20);
  if (fate === 0 && random(4) === 0) stop.abort();
  let seen = 0;
  alive.set(user, performance.now());
  try {
    for await (const event of service.generate({ ...request, signal: stop.signal })) {
      alive.set(user, performance.now());
      if (event.type === "end") {
        const whole = event.stopReason !== "aborted";
        check(key, event.tokens, whole);
        counts.texts++;
        counts.tokens += event.tokens.length;
        if (!whole) counts.aborted++;
        if (event.stats.cachedTokens > 0) counts.reused++;
        return whole ? event : undefined;
      }
      if (++seen !== events) continue;
      if (fate === 0) stop.abort();
      if (fate === 1) {
        counts.left++;
        return undefined;
      }
      // A reader that is slow.
      if (fate === 2) await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } catch (error) {
    if (!(error instanceof EspalierError && error.code === "overloaded")) throw error;
    counts.refused++;
    await new Promise((resolve) => setTimeout(resolve, 20 + random(100)));
  } finally {
    alive.delete(user);
  }
  return undefined;
}

async function come(user) {
  while (failure === undefined && performance.now() < end) {
    const kind = random(KINDS);
    const request = requestOf(kind);
    const first = await one(user, `${kind}`, request);
    // A second turn, which what the first one read serves again.
    if (first && random(2) === 0)
      await one(user, `${kind}+`, { ...request, prompt: `${request.prompt}${first.text} And then` });
  }
}

async function megabytes() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage.rss() / 2 ** 20;
}

const samples = [];
const every = Math.max(1000, (minutes * 60_000) / 60);
const watch = setInterval(async () => {
  for (const [user, time] of alive) {
    if (performance.now() - time > STUCK) failure ??= new Error(`the text of user ${user} stands still`);
  }
  samples.push(await megabytes());
  if (samples.length % 6 === 0)
    console.error(samples.at(-1).toFixed(1), "MB", JSON.stringify({ ...counts, ...service.load }));
}, every);

const fail = (error) => {
  failure ??= error;
};
await Promise.race([
  Promise.all(Array.from({ length: users }, (_, user) => come(user).catch(fail))),
  // Whoever is stuck does not come back to say so.
  new Promise((resolve) => setInterval(() => failure && resolve(), 1000).unref()),
]);
clearInterval(watch);
if (failure) {
  console.error(`soak: ${failure.message}`);
  process.exit(1);
}
const { running, waiting } = service.load;
if (running + waiting > 0) throw new Error(`${running} texts run and ${waiting} wait when all are over`);
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const fifth = Math.max(1, Math.floor(samples.length / 5));
// The first fifth warms up.
const [before, after] = [samples.slice(fifth, 2 * fifth), samples.slice(-fifth)].map(median);
const growth = after / before - 1;
await service[Symbol.asyncDispose]();
await model[Symbol.asyncDispose]();
console.log(`${minutes} minutes, ${users} users: ${JSON.stringify(counts)}`);
console.log(
  `${before.toFixed(1)} MB in the second fifth, ${after.toFixed(1)} MB in the last (${(100 * growth).toFixed(1)} %)`,
);
process.exit(growth <= MOST_GROWTH ? 0 : 1);
