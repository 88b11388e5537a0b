/**
 * @file `npm run bench:warm -- --model M --prompts F,G`: what a warm start is worth. A model learns from the twenty requests of `lessons.mjs`; then, for several
 * starts in every category, one model that starts with what was learnt and one that starts with nothing answer the same prompts in turns. Plain
 * decoding answers them, too, and all texts have to be equal.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readPrompts } from "../../dist/cli/prompts.js";
import { commit } from "../../dist/cli/version.js";
import { loadModel } from "../../dist/index.js";
import { summarize } from "../../dist/plan/measure.js";
import { Model } from "../../dist/session/model.js";
import { lessons } from "./lessons.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    prompts: { type: "string" },
    methods: { type: "string", default: "token-recycling,recycle-lookup" },
    starts: { type: "string", default: "2" },
    each: { type: "string", default: "3" },
    "max-tokens": { type: "string", default: "96" },
  },
});
if (values.prompts === undefined) throw new RangeError("there is nothing to answer; give --prompts F,G");
const methods = values.methods.split(",");
const [starts, each, maxTokens] = [values.starts, values.each, values["max-tokens"]].map(Number);
/** Categories of Spec-Bench's conversations, which are few each and count as one. */
const CHATS = ["writing", "roleplay", "math", "coding", "stem", "humanities", "reasoning", "extraction"];
const LESSON_TOKENS = 200;

const loaded = await loadModel(values.model);
/** A model that has learnt nothing, on the same engine. */
const fresh = () => new Model(loaded.parts);
const folder = await mkdtemp(join(tmpdir(), "espalier-warm-"));
const state = join(folder, "learnt");

/** The last event of a text. */
async function answer(model, request) {
  for await (const event of model.generate(request)) if (event.type === "end") return event;
}

const teacher = fresh();
let learnt = 0;
for (const content of lessons) {
  const request = {
    messages: [{ role: "user", content }],
    maxTokens: LESSON_TOKENS,
    method: "recycle-lookup",
  };
  learnt += (await answer(teacher, request)).tokens.length;
}
await teacher.saveState(state, "recycle-lookup");

const byCategory = new Map();
for (const prompt of (await Promise.all(values.prompts.split(",").map(readPrompts))).flat()) {
  const category = CHATS.includes(prompt.category) ? "conversation" : prompt.category;
  byCategory.set(category, [...(byCategory.get(category) ?? []), prompt]);
}

const rows = [];
let different = 0;
for (const [category, prompts] of byCategory) {
  const step = Math.max(1, Math.floor(prompts.length / (starts * each)));
  for (let start = 0; start < starts; start++) {
    const lanes = [{ method: "plain", model: fresh() }];
    for (const method of methods) {
      const warm = fresh();
      await warm.loadState(state, method);
      lanes.push({ method, kind: "cold", model: fresh() }, { method, kind: "warm", model: warm });
    }
    for (let place = 0; place < each; place++) {
      const prompt = prompts[(start * each + place) * step];
      if (prompt === undefined) break;
      const [content] = prompt.turns;
      const text =
        prompt.kind === "completion" ? { prompt: content } : { messages: [{ role: "user", content }] };
      const ends = new Map();
      for (let turn = 0; turn < lanes.length; turn++) {
        const lane = lanes[(turn + start + place) % lanes.length];
        ends.set(lane, await answer(lane.model, { ...text, maxTokens, method: lane.method }));
      }
      const plain = ends.get(lanes[0]);
      for (const [{ method, kind }, { tokens, stats }] of ends) {
        if (tokens.join() !== plain.tokens.join()) different++;
        const { mat, tokensPerSecond, passes } = stats;
        const overPlain = tokensPerSecond / plain.stats.tokensPerSecond;
        rows.push({
          category,
          place,
          method,
          kind,
          tokens: tokens.length,
          passes,
          mat,
          overPlain,
          tokensPerSecond,
        });
      }
    }
  }
}
await rm(folder, { recursive: true });
await loaded[Symbol.asyncDispose]();

console.log(`learnt from ${lessons.length} requests, ${learnt} tokens of answers`);
const digits = ({ median, low, high }, count) =>
  `${median.toFixed(count)} (${low.toFixed(count)}-${high.toFixed(count)})`;
for (const method of methods) {
  const places = Array.from({ length: each }, (_, place) => [
    `prompt ${place + 1}`,
    (row) => row.place === place,
  ]);
  const categories = [...byCategory.keys()].map((name) => [
    `prompt 1, ${name}`,
    (row) => row.place === 0 && row.category === name,
  ]);
  for (const [name, has] of [...places, ["all", () => true], ...categories]) {
    const of = (kind) => rows.filter((row) => row.method === method && row.kind === kind && has(row));
    const [cold, warm] = [of("cold"), of("warm")];
    if (cold.length === 0) continue;
    const sum = (list, field) => list.reduce((total, row) => total + row[field], 0);
    const mat = (list) => (sum(list, "tokens") / sum(list, "passes")).toFixed(2);
    const rate = (list) =>
      sum(list, "tokens") /
      sum(
        list.map((row) => ({ s: row.tokens / row.tokensPerSecond })),
        "s",
      );
    const gain = summarize(warm.map((row, i) => row.tokensPerSecond / cold[i].tokensPerSecond));
    console.log(
      [
        method.padEnd(15),
        name.padEnd(24),
        `${cold.length} prompts`,
        `MAT ${mat(cold)} cold, ${mat(warm)} warm`,
        `tokens/s ${rate(cold).toFixed(0)}, ${rate(warm).toFixed(0)}`,
        `over plain ${digits(summarize(cold.map((row) => row.overPlain)), 2)}, ${digits(summarize(warm.map((row) => row.overPlain)), 2)}`,
        `warm over cold ${digits(gain, 3)}`,
      ].join("; "),
    );
  }
}
const { isa, threads } = loaded.parts.target;
console.log(`${cpus()[0]?.model.trim()}, ${threads} threads, ${isa}, ${loaded.name}, ${commit()}`);
if (different > 0) {
  console.log(`NOT EQUAL: ${different} texts differ from plain decoding's`);
  process.exitCode = 1;
} else console.log("equal: all texts are plain decoding's");
