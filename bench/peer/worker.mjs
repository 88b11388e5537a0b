/**
 * @file The frame of a benchmark's child process: it loads a model, says so, and then does one task at a time when the
 * parent asks. Between tasks it sleeps in the event loop, so that it takes nothing from the other side's turn. Task "cpuMs" asks
 * for the processor time it has had.
 */

/**
 * What a side can do. Both sides get the same token ids.
 * @typedef {object} Peer
 * @property {Record<string, unknown>} settings What it is and how it was set up, for the report.
 * @property {(task: { tokens: number[], maxTokens: number }) => Promise<Generated>} plain Greedy text, token by token.
 * @property {(task: { tokens: number[] }) => Promise<{ ms: number }>} prefill Reads all tokens into an empty cache.
 * @property {(task: { text: string }) => Promise<number[]>} tokenize
 */

/**
 * @typedef {object} Generated
 * @property {number[]} tokens The first one comes out of the prefill, so its time is not counted.
 * @property {number[]} times When each token reached the caller, in milliseconds.
 */

/** @param {(options: { model: string, threads: number, weights: string }) => Promise<Peer>} load */
export function serve(load) {
  const [model, threads, weights] = process.argv.slice(2);
  const peer = load({ model, threads: Number(threads), weights });
  peer.then(
    ({ settings }) => process.send({ settings }),
    (error) => process.send({ error: error.message }),
  );
  process.on("message", async ({ task, ...options }) => {
    try {
      const { user, system } = process.cpuUsage();
      if (task === "cpuMs") process.send({ result: (user + system) / 1000 });
      else process.send({ result: await (await peer)[task](options) });
    } catch (error) {
      process.send({ error: error.message });
    }
  });
}
