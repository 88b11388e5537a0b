/**
 * Writes with the project's own engine, after `npm run build`: `node training/answer.mjs MODEL REQUESTS ANSWERS`.
 *
 * Both files are JSON Lines: a request as stage `questions` makes it, and the same with `text` and `ended` added. A request with
 * `parts` has a script: the text of each part is given, and then the model writes at least so many tokens, up to the end of a
 * sentence. What finds no such end has not ended.
 */

import { readFile, writeFile } from "node:fs/promises";
import { loadModel } from "../dist/index.js";

const MAX_TOKENS = 700;
/** Tokens that a sentence may go on after its part is long enough. */
const OVERRUN = 60;
const SENTENCE_END = /[.!?]["']?$/;

const [modelPath, requestsPath, answersPath] = process.argv.slice(2);
if (answersPath === undefined) throw new RangeError("usage: node answer.mjs MODEL REQUESTS ANSWERS");

const rows = (await readFile(requestsPath, "utf8"))
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const model = await loadModel(modelPath);
const answers = [];
for (const row of rows) answers.push({ ...row, ...(await (row.parts ? follow(row) : answer(row))) });
await model[Symbol.asyncDispose]();
await writeFile(answersPath, answers.map((row) => `${JSON.stringify(row)}\n`).join(""));
process.stdout.write(
  `answer: ${answers.length} answers, ${answers.filter(({ ended }) => ended).length} ended\n`,
);

async function answer({ messages, sampling }) {
  for await (const event of model.generate({ messages, maxTokens: MAX_TOKENS, ...sampling })) {
    if (event.type === "end") return { text: event.text, ended: event.stopReason === "end-token" };
  }
}

async function follow({ messages, parts, sampling }) {
  const { chatTemplate, tokenizer } = model.parts;
  const head = chatTemplate.render(messages, { addGenerationPrompt: true });
  let text = "";
  for (const { text: given, free } of parts) {
    text += given;
    if (free === 0) continue;
    const sentences = await write(tokenizer.encode(head + text, { special: true }), free, sampling);
    if (sentences === undefined) return { text, ended: false };
    text += sentences;
  }
  return { text, ended: true };
}

/** At least `free` tokens after `tokens`, up to the end of a sentence; undefined when none ends in time. */
async function write(tokens, free, sampling) {
  let text = "";
  let count = 0;
  for await (const event of model.generate({ tokens, maxTokens: free + OVERRUN, ...sampling })) {
    if (event.type === "end") break;
    for (const piece of event.pieces) {
      if (count >= free && SENTENCE_END.test(text) && /^\s/.test(piece.text)) return text;
      text += piece.text;
      count++;
    }
  }
  const end = text.search(/[.!?]["']?(?=\s[^.!?]*$)/);
  return end < 0 ? (SENTENCE_END.test(text) ? text : undefined) : text.slice(0, end + 1);
}
