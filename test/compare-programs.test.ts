/**
 * @file `bench/compare` as it is called, on the embedded model; and its drivers of other programs, with small programs in their place that
 * answer as these do.
 */

import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

interface Worker {
  readonly child: { disconnect(): void; once(event: "exit", then: () => void): void };
  readonly settings: Record<string, unknown>;
  ask(task: string, options?: object): Promise<unknown>;
}

interface Answer {
  readonly text: string;
  readonly firstMs: number;
  readonly decodeMs: number;
  readonly generated: number;
  readonly ended: boolean;
}

const root = join(import.meta.dirname, "..");
const workers = join(root, "bench/compare/workers");
let folder: string;
let startWorker: (name: string, file: string, options: object, more?: object) => Promise<Worker>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "espalier-compare-test-"));
  ({ startWorker } = await import(pathToFileURL(join(root, "bench/processes.mjs")).href));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `use` with a worker, and waits until its process has ended. */
async function withWorker<T>(starting: Promise<Worker>, use: (worker: Worker) => Promise<T>): Promise<T> {
  const worker = await starting;
  const gone = new Promise<void>((resolve) => worker.child.once("exit", resolve));
  try {
    return await use(worker);
  } finally {
    worker.child.disconnect();
    await gone;
  }
}

describe.skipIf(process.platform === "win32")("ik_llama.cpp's server", () => {
  /** Answers with the tokens of the prompt, one an event, and ends by an end token unless that is one too many. */
  const SERVER = `#!/usr/bin/env node
const { createServer } = require("node:http");
const argument = (name) => process.argv[process.argv.indexOf(name) + 1];
let health = 0;
createServer(async (request, response) => {
  if (request.url === "/health") return response.writeHead(health++ < 1 ? 503 : 200).end();
  let body = "";
  for await (const chunk of request) body += chunk;
  const { prompt, n_predict, temperature, cache_prompt, content } = JSON.parse(body);
  if (request.url === "/tokenize") return response.end(JSON.stringify({ tokens: content.split(" ").map(Number) }));
  if (prompt.includes(13)) return response.writeHead(500).end("unlucky");
  if (temperature !== 0 || cache_prompt !== false) return response.writeHead(400).end("not greedy, or cached");
  const tokens = prompt.slice(0, n_predict);
  // Pieces of events, as networks cut them.
  const whole = tokens.map((token) => \`data: {"content":" \${token}","stop":false}\\n\\n\`).join("");
  response.write(whole.slice(0, 20));
  await new Promise((resolve) => setTimeout(resolve, 30));
  response.write(whole.slice(20));
  const stopped_eos = prompt.length < n_predict;
  const tokens_predicted = tokens.length + (stopped_eos ? 1 : 0);
  response.end("data: " + JSON.stringify({ content: "", stop: true, stopped_eos, tokens_predicted }) + "\\n\\n");
}).listen(Number(argument("--port")), argument("--host"));
`;

  function program(name: string, text: string): string {
    const file = join(folder, name);
    writeFileSync(file, text);
    chmodSync(file, 0o755);
    return file;
  }

  const start = (binary: string) =>
    startWorker("ik_llama.cpp", join(workers, "ik.mjs"), {
      ...{ binary, args: ["-rtr"], model: "model.gguf", threads: 2, contextSize: 256 },
    });

  test("is started once, and its stream is read", async () => {
    await withWorker(start(program("llama-server", SERVER)), async ({ ask, settings }) => {
      expect(settings).toMatchObject({ binary: "llama-server", args: "-rtr", threads: 2 });
      const ended = (await ask("generate", { tokens: [7, 8, 9], maxTokens: 5 })) as Answer;
      expect(ended).toMatchObject({ text: " 7 8 9", generated: 4, ended: true, first: 1, passes: null });
      expect(ended.decodeMs).toBeGreaterThanOrEqual(0);
      expect(ended.firstMs).toBeGreaterThan(0);
      const cut = (await ask("generate", { tokens: [7, 8, 9], maxTokens: 2 })) as Answer;
      expect(cut).toMatchObject({ text: " 7 8", generated: 2, ended: false });
      expect(await ask("tokenize", { text: "1 2" })).toEqual([1, 2]);
      expect(await ask("cpuMs")).toBeGreaterThan(0);
      await expect(ask("generate", { tokens: [13], maxTokens: 2 })).rejects.toThrow("answered 500: unlucky");
    });
  });

  test("that ends at once, that is not there, or that would load its model for each prompt is refused", async () => {
    await expect(start(program("broken", "#!/bin/sh\nexit 3\n"))).rejects.toThrow("broken ended with 3");
    await expect(start(join(folder, "missing"))).rejects.toThrow("missing cannot be started");
    await expect(start(program("llama-cli", SERVER))).rejects.toThrow("give --ik the llama-server");
  });
});

describe("transformers.js", () => {
  /** The package's exports that the driver uses: it answers with the tokens of the prompt, then 2, the end token. */
  const PACKAGE = `
export const env = {};
export class BaseStreamer {}
export class Tensor { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } }
export const AutoTokenizer = { from_pretrained: async () => ({
  decode: (tokens) => tokens.filter((token) => token !== 2).join(" "),
  encode: (text, options) => options.add_special_tokens ? [1] : text.split(" ").map(Number),
}) };
export const AutoModelForCausalLM = { from_pretrained: async (name, options) => {
  if (name !== "onnx-model" || env.allowRemoteModels !== false || options.dtype !== "q4") throw new Error("unexpected " + name);
  return { generation_config: { eos_token_id: 2 }, async generate({ input_ids, max_new_tokens, do_sample, streamer }) {
    if (do_sample) throw new Error("not greedy");
    const prompt = [...input_ids.data];
    streamer.put([prompt]);
    for (const token of [...prompt, 2n].slice(0, max_new_tokens)) streamer.put([[token]]);
    streamer.end();
  } };
} };
`;

  const start = (name: string, env: object = process.env) => {
    const options = { folder: join(folder, name), dtype: "q4", threads: 2 };
    return startWorker("transformers.js", join(workers, "transformers.mjs"), options, { env });
  };

  /** An environment in which the package's name leads to `target`, or nowhere. */
  function resolving(target: string | undefined): object {
    const hooks = join(folder, `hooks-${target === undefined ? "none" : "fake"}.mjs`);
    const found =
      target === undefined
        ? `throw Object.assign(new Error("none"), { code: "ERR_MODULE_NOT_FOUND" })`
        : `return { url: ${JSON.stringify(pathToFileURL(target).href)}, shortCircuit: true }`;
    writeFileSync(
      hooks,
      `export async function resolve(name, context, next) { if (name === "@huggingface/transformers") { ${found}; } return next(name, context); }`,
    );
    const register = join(folder, "register.mjs");
    writeFileSync(register, `import { register } from "node:module"; register(process.env.TEST_HOOKS);`);
    return {
      ...process.env,
      TEST_HOOKS: pathToFileURL(hooks).href,
      NODE_OPTIONS: `--import ${pathToFileURL(register).href}`,
    };
  }

  test("that is not installed, or a folder without a model, is refused with what to do", async () => {
    await expect(start("nothing")).rejects.toThrow(
      "nothing has no config.json; give --transformers a folder",
    );
    mkdirSync(join(folder, "onnx-model"), { recursive: true });
    writeFileSync(join(folder, "onnx-model/config.json"), "{}");
    await expect(start("onnx-model", resolving(undefined))).rejects.toThrow(
      'run "npm install --no-save @huggingface/transformers" in bench/',
    );
  });

  test("gets token ids, and what it streams is timed", async () => {
    const place = join(folder, "transformers");
    mkdirSync(place, { recursive: true });
    mkdirSync(join(folder, "onnx-model"), { recursive: true });
    writeFileSync(join(folder, "onnx-model/config.json"), "{}");
    writeFileSync(join(place, "package.json"), '{ "type": "module", "version": "9.8.7" }');
    writeFileSync(join(place, "index.js"), PACKAGE);
    await withWorker(start("onnx-model", resolving(join(place, "index.js"))), async ({ ask, settings }) => {
      expect(settings).toEqual({ version: "9.8.7", dtype: "q4", threads: 2 });
      const ended = (await ask("generate", { tokens: [7, 8], maxTokens: 9 })) as Answer;
      expect(ended).toMatchObject({ text: "7 8", generated: 3, ended: true, first: 1, passes: 3 });
      const cut = (await ask("generate", { tokens: [7, 8], maxTokens: 2 })) as Answer;
      expect(cut).toMatchObject({ text: "7 8", generated: 2, ended: false });
      expect(await ask("tokenize", { text: "5 6" })).toEqual([5, 6]);
    });
  });
});

describe("the commands", () => {
  const command = (file: string, ...args: string[]) =>
    execFileSync(process.execPath, [join(root, "bench/compare", file), ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  const records = (file: string) =>
    readFileSync(file, "utf8")
      .trim()
      .split("\n")
      .map(
        (line) =>
          JSON.parse(line) as { type: string; id: string; turns: { contender: string; same: boolean }[] },
      );

  test("bench:compare measures, goes on where it was, and renders", () => {
    const out = join(folder, "compared");
    const run = (prompts: string) =>
      command(
        "main.mjs",
        ...[
          "--model",
          "espalier-tiny",
          "--files",
          join(root, "bench/replay/prompts.jsonl"),
          "--prompts",
          prompts,
        ],
        ...[
          "--tokens",
          "24",
          "--methods",
          "recycle-lookup",
          "--llama",
          "none",
          "--threads",
          "1",
          "--out",
          out,
        ],
      );
    const first = run("1");
    expect(first).toContain("All 2 methods of Espalier gave the same text on every prompt.");
    const before = records(`${out}.jsonl`).filter(({ type }) => type === "round");
    expect(before.length).toBeGreaterThan(0);
    for (const { turns } of before)
      expect(turns.map(({ contender }) => contender)).toEqual(["plain", "recycle-lookup"]);
    run("2");
    const after = records(`${out}.jsonl`).filter(({ type }) => type === "round");
    expect(after.slice(0, before.length)).toEqual(before);
    expect(new Set(after.map(({ id }) => id)).size).toBe(after.length);
    expect(after.length).toBeGreaterThan(before.length);
    const rendered = command("main.mjs", "--render", `${out}.jsonl`);
    // No turn has more than all of the machine taken by others.
    expect(command("main.mjs", "--render", `${out}.jsonl`, "--busy", "100")).toBe(rendered);
    expect(rendered).toBe(readFileSync(`${out}.md`, "utf8"));
    expect(readFileSync(`${out}.svg`, "utf8")).toContain("Espalier, recycle-lookup");
  });

  test("bench:never-slower fills its cells", () => {
    const out = join(folder, "grid");
    const text = command(
      "never-slower.mjs",
      ...[
        "--models",
        "espalier-tiny",
        "--categories",
        "hexadecimal,unknown-language",
        "--contexts",
        "40,99999",
      ],
      ...["--temperatures", "0,0.8", "--prompts", "1", "--again", "0", "--tokens", "16", "--threads", "1"],
      ...["--methods", "recycle-lookup", "--featured", "recycle-lookup", "--out", out],
    );
    expect(text).toContain("All 3 methods of Espalier gave the same text on every prompt.");
    const rounds = records(`${out}-espalier-tiny.jsonl`).filter(({ type }) => type === "round");
    expect(rounds).toHaveLength(8);
    expect(rounds).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ category: "hexadecimal", temperature: 0.8, context: 40, promptTokens: 40 }),
      ]),
    );
  });

  test.each([
    ["main.mjs", ["--prompts", "3"], "--model is missing"],
    ["main.mjs", ["--model", "espalier-tiny", "--prompts", "x"], "--prompts is x; give a whole number"],
    [
      "main.mjs",
      ["--model", "espalier-tiny", "--llama", "fast"],
      "--llama is fast; give one of plain, lookup, draft",
    ],
    ["main.mjs", ["--model", "espalier-tiny", "--lookup-pattern", "3-1"], "--lookup-pattern is 3-1"],
    ["main.mjs", ["--render", "a.jsonl", "--busy", "most"], "--busy is most"],
    ["main.mjs", ["--render", "missing.jsonl"], "missing.jsonl"],
    ["never-slower.mjs", ["--temperatures", "0,hot"], "--temperatures is hot; give a number"],
    ["never-slower.mjs", ["--methods", "eagle,chain"], "--methods is eagle,chain; add auto"],
  ])("%s %j is refused", (file, args, message) => {
    expect(() => command(file, ...args)).toThrow(message);
  });
});
