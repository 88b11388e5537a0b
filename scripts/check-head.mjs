/**
 * A draft head at work in the project's own engine, after `npm run build`: `node scripts/check-head.mjs HEAD MODEL [TOKENS]`. The text must
 * be that of plain decoding, to the byte.
 */

import { loadModel } from "../dist/index.js";

const [head, path, maxTokens = "48"] = process.argv.slice(2);
if (path === undefined) throw new RangeError("usage: node check-head.mjs HEAD MODEL [TOKENS]");

const model = await loadModel(path, { head });
const plain = await write("plain");
const drafted = await write("eagle");
await model[Symbol.asyncDispose]();
if (drafted.text !== plain.text) throw new Error("the text with the head is not that of plain decoding");
const { passes, tokens } = drafted.stats;
process.stdout.write(`check-head: the same text; ${tokens} tokens in ${passes} passes\n`);

async function write(method) {
  const messages = [{ role: "user", content: "Tell me a story about a fox named Ida and a lamp." }];
  for await (const event of model.generate({ messages, method, maxTokens: Number(maxTokens) })) {
    if (event.type === "end") return event;
  }
}
