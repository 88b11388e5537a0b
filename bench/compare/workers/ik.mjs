/**
 * @file ik_llama.cpp by way of its llama-server, which is started once and asked over HTTP on this machine; what that costs is part of its figures.
 * It gets token ids, and streams text. Any other server with llama.cpp's /completion would do.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { basename } from "node:path";
import { serve } from "../../processes.mjs";

/** Milliseconds in which it must have loaded its model. */
const START_MS = 120_000;

serve(async ({ binary, args, model, threads, contextSize }) => {
  if (/^llama-cli(\.exe)?$/.test(basename(binary))) {
    throw new Error(
      `${binary} would load the model again for each prompt; give --ik the llama-server that is built beside it`,
    );
  }
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const own = {
    "-m": model,
    "-t": threads,
    "-c": contextSize,
    "-np": 1,
    "--host": "127.0.0.1",
    "--port": port,
  };
  const child = spawn(binary, [...Object.entries(own).flat().map(String), ...args], { stdio: "ignore" });
  let fault;
  child.once("error", (error) => (fault = `${binary} cannot be started: ${error.message}`));
  child.once("exit", (code, signal) => (fault ??= `${binary} ended with ${code ?? signal}`));
  process.once("disconnect", () => child.kill());
  process.once("exit", () => child.kill());
  await ready();

  async function ready() {
    for (const start = performance.now(); performance.now() - start < START_MS; ) {
      if (fault !== undefined) throw new Error(fault);
      const response = await fetch(`${base}/health`).catch(() => undefined);
      if (response?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    child.kill();
    throw new Error(`${binary} had not loaded its model after ${START_MS / 1000} s`);
  }

  return {
    settings: { binary: basename(binary), args: args.join(" "), threads, contextSize },

    async generate({ tokens: prompt, maxTokens }) {
      const start = performance.now();
      const response = await fetch(`${base}/completion`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          prompt,
          n_predict: maxTokens,
          temperature: 0,
          top_k: 1,
          cache_prompt: false,
          stream: true,
        }),
      });
      if (!response.ok) throw new Error(`/completion answered ${response.status}: ${await response.text()}`);
      let text = "";
      let firstMs;
      let last = {};
      for await (const event of events(response.body)) {
        if (event.content !== "") firstMs ??= performance.now() - start;
        text += event.content ?? "";
        last = event;
      }
      if (last.stop !== true) throw new Error(fault ?? "/completion broke off");
      const endMs = performance.now() - start;
      return {
        text,
        firstMs: firstMs ?? endMs,
        decodeMs: endMs - (firstMs ?? endMs),
        first: 1,
        generated: last.tokens_predicted,
        ended: last.stopped_eos === true || last.stop_type === "eos",
        passes: null,
      };
    },

    async tokenize({ text }) {
      const response = await fetch(`${base}/tokenize`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ content: text, add_special: false }),
      });
      return (await response.json()).tokens;
    },

    /** Of the server, where that can be read. */
    async childCpuMs() {
      if (process.platform !== "linux") return 0;
      const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      // In hundredths of a second: 11 and 12 are user and system time, counted from the state.
      return 10 * (Number(fields[11]) + Number(fields[12]));
    },
  };
});

/** The objects of a stream of server-sent events. */
async function* events(body) {
  let rest = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: {")) yield JSON.parse(line.slice("data: ".length));
    }
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
