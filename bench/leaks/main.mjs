/**
 * @file `npm run bench:leaks`: 1,000 generations with one model and 200 loads of it, and what they leave in resident memory, which
 * may be 5 %. Each part has a tenth as many rounds to warm up. Needs the flags that package.json gives to Node: the young
 * generation of JavaScript's heap has its full size from the start, since its growth would look like a leak.
 */

import { parseArgs } from "node:util";
import { loadModel } from "../../dist/index.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "models/espalier-tiny/espalier-tiny.gguf" },
    "draft-model": { type: "string", default: "models/espalier-tiny/espalier-tiny-draft.gguf" },
    generations: { type: "string", default: "1000" },
    loads: { type: "string", default: "200" },
    json: { type: "boolean", default: false },
  },
});
const MOST = 0.05;
const { gc } = globalThis;

const options = { draftModel: values["draft-model"] };
const PROMPTS = ["Once upon a time there was a", "The little dog ran to", "Tom and Lily found a big red"];

/** Texts of several lengths and kinds; every fifth is aborted, every seventh left by its reader. */
async function generate(model, round) {
  const stop = new AbortController();
  const request = {
    prompt: PROMPTS[round % PROMPTS.length],
    maxTokens: 8 + (round % 5) * 8,
    method: model.methodNames[round % model.methodNames.length],
    signal: stop.signal,
    ...(round % 2 === 1 && { temperature: 0.8, seed: round }),
  };
  let events = 0;
  for await (const event of model.generate(request)) {
    events++;
    if (round % 5 === 4 && events === 3) stop.abort();
    if (round % 7 === 6 && events === 4) break;
    if (event.type === "end") break;
  }
}

async function megabytes() {
  for (let i = 0; i < 3; i++) {
    gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage.rss() / 2 ** 20;
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

/** Memory after a tenth of `rounds` to warm up, and after `rounds` more: medians over the last ten of each. */
async function watch(name, rounds, use) {
  const warm = Math.ceil(rounds / 10);
  const ends = { [warm]: [], [warm + rounds]: [] };
  for (let round = 1; round <= warm + rounds; round++) {
    await use(round);
    for (const [end, seen] of Object.entries(ends)) {
      if (round <= end && round > end - 10) seen.push(await megabytes());
    }
    if (round % warm === 0) console.error(`${name}: ${round}, ${(await megabytes()).toFixed(1)} MB`);
  }
  const [beforeMb, afterMb] = Object.values(ends).map(median);
  return { rounds, beforeMb, afterMb, growth: afterMb / beforeMb - 1 };
}

const model = await loadModel(values.model, options);
const generations = await watch("generations", Number(values.generations), (round) => generate(model, round));
await model[Symbol.asyncDispose]();
const loads = await watch("loads", Number(values.loads), async (round) => {
  const other = await loadModel(values.model, options);
  await generate(other, round);
  await other[Symbol.asyncDispose]();
});
if (values.json) console.log(JSON.stringify({ generations, loads }));
else {
  for (const [name, { rounds, beforeMb, afterMb, growth }] of Object.entries({ generations, loads })) {
    console.log(
      `${rounds} ${name}: ${beforeMb.toFixed(1)} MB before, ${afterMb.toFixed(1)} MB after them (${(100 * growth).toFixed(1)} %)`,
    );
  }
}
process.exit(generations.growth <= MOST && loads.growth <= MOST ? 0 : 1);
