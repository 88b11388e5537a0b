/**
 * @file node-llama-cpp behind HTTP, for `bench:peer-server`: POST /v1/completions with token ids, greedy. Requests run in sequences of one context,
 * whose evaluations the package puts into common batches by itself. Prints its address, then what it runs on.
 */

import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { openLlama } from "./llama.mjs";

const [path, threads, users] = process.argv.slice(2);
const { open, settingsOf } = await openLlama({ threads: Number(threads), contextSize: 1024 });
const { model, context } = await open(path, Number(users));
/** One for each user, so that nobody waits. */
const free = Array.from({ length: Number(users) }, () => context.getSequence());

async function complete({ prompt, max_tokens }) {
  const sequence = free.pop();
  try {
    await sequence.clearHistory();
    const tokens = [];
    for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      if (model.isEogToken(token)) break;
      tokens.push(token);
      if (tokens.length === max_tokens) break;
    }
    return { choices: [{ index: 0, text: model.detokenize(tokens) }] };
  } finally {
    free.push(sequence);
  }
}

const server = createServer(async (request, response) => {
  const reply = JSON.stringify(await complete(await json(request)));
  response.setHeader("content-type", "application/json").end(reply);
});
server.listen(0, "127.0.0.1", () => {
  console.log(`address   http://127.0.0.1:${server.address().port}/v1`);
  console.log(JSON.stringify(settingsOf(context)));
});
