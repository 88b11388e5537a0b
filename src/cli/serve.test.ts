/** @file Tests of `espalier serve`: its first screen, what it refuses, its log, and how it ends. */

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type CliOptions, runCli, talkingToy } from "../../test/run-cli.ts";
import { CHAT, read, said } from "../../test/server.ts";
import type { TargetSequence } from "../target/target.ts";
import { ToyTarget } from "../target/toy.ts";

const SERVE = "serve --model toy --port 0";

/** Runs the command; `work` gets the address once it is shown, and ctrl-C ends the server after it. */
async function serving(line: string, work: (url: string) => Promise<void>, options: CliOptions = {}) {
  let failure: unknown;
  let url: string | undefined;
  const result = await runCli(line, {
    ...options,
    watch(text, press) {
      url ??= /address +(http:\/\/\S+)\/v1/.exec(text)?.[1];
      if (!text.includes("address")) return;
      void work(url!)
        .catch((error: unknown) => {
          failure = error;
        })
        .finally(press);
    },
  });
  if (failure !== undefined) throw failure;
  return result;
}

const post = (url: string, body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal) =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    ...(signal && { signal }),
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });

test("shows where it is and answers until ctrl-C", async () => {
  const { text } = await said({ messages: [{ role: "user", content: "ABC" }] });
  const { code, stdout, stderr, alive, loads } = await serving(SERVE, async (url) => {
    const { status, body } = await read(post(url, CHAT));
    expect([status, body.choices[0].message.content]).toEqual([200, text]);
    expect((await post(url, { ...CHAT, tools: [] })).status).toBe(400);
  });
  expect(code).toBe(0);
  expect(alive).toBe(0);
  expect(loads[0]!.warmStart).toBe(true);
  expect(stdout).toMatch(/address +http:\/\/127\.0\.0\.1:\d+\/v1\n/);
  expect(stdout).toMatch(/model +toy, context of 512 tokens\n/);
  expect(stdout).toMatch(/engine +none, 1 thread\n/);
  expect(stdout).toMatch(
    /drafting +auto\n +a request may ask for plain, token-recycling, prompt-lookup,\n +recycle-lookup, retrieval\n/,
  );
  expect(stdout).toMatch(/places +8 texts at once, 64 waiting\n/);
  const command = /curl \S+ -H "Content-Type: application\/json" -d '(.*)'/.exec(stdout)![1]!;
  expect(JSON.parse(command)).toEqual({ model: "toy", messages: [{ role: "user", content: "Hello!" }] });
  expect(stderr).toMatch(/ 200 \/v1\/chat\/completions [\d.]+ s max-tokens · 12 tokens at /);
  expect(stderr).toMatch(/ 400 \/v1\/chat\/completions [\d.]+ s unsupported_parameter\n/);
  expect(stderr).not.toContain("ABC");
  expect(stderr).toContain("finishing the texts");
});

/** Lets the world have its turn before every pass, as the engine does. */
class UnhurriedToy extends ToyTarget {
  override async createSequence(options: { capacity: number }): Promise<TargetSequence> {
    const sequence = await super.createSequence(options);
    const forward = sequence.forward.bind(sequence);
    sequence.forward = async (...args) => {
      await new Promise((resolve) => setImmediate(resolve));
      return forward(...args);
    };
    return sequence;
  }
}

test("refuses who finds no place, and starts from what past texts left", async () => {
  const model = () => talkingToy({}, new UnhurriedToy({ contextLength: 100_000 }), { endTokens: [] });
  const line = `${SERVE} --parallel 1 --queue 0`;
  await serving(
    line,
    async (url) => {
      const controller = new AbortController();
      const endless = { ...CHAT, max_tokens: 90_000, stream: true };
      const stream = await post(url, endless, {}, controller.signal);
      const reading = stream.text().catch(() => {});
      const refused = await read(post(url, CHAT));
      expect([refused.status, refused.body.error.code]).toEqual([429, "overloaded"]);
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
      controller.abort();
      await reading;
      const long = { ...CHAT, messages: [{ role: "user", content: "ABCDEFGH".repeat(5) }] };
      let next = await read(post(url, long));
      for (let i = 0; i < 1000 && next.status === 429; i++) {
        await sleep(1);
        next = await read(post(url, long));
      }
      expect(next.status).toBe(200);
      const again = await read(post(url, long));
      expect(again.body.usage.prompt_tokens_details.cached_tokens).toBe(40);
      expect(again.body.choices).toEqual(next.body.choices);
      const metrics = await (await fetch(`${url}/metrics`)).text();
      expect(metrics).toMatch(/^espalier_running 0$/m);
      expect(metrics).toMatch(/^espalier_prefix_bytes \d+$/m);
    },
    { model },
  );
});

test("asks for the key, and logs nothing with --quiet", async () => {
  const env = { ESPALIER_API_KEY: "secret", ESPALIER_CACHE: "/dev/null" };
  const { stdout, stderr } = await serving(
    `${SERVE} --quiet`,
    async (url) => {
      expect((await post(url, CHAT)).status).toBe(401);
      expect((await post(url, CHAT, { authorization: "Bearer secret" })).status).toBe(200);
    },
    { env },
  );
  expect(stdout).toContain('-H "Authorization: Bearer $ESPALIER_API_KEY"');
  expect(stdout + stderr).not.toContain("secret");
  expect(stderr).not.toContain("/v1/chat/completions");
});

test("only goes by names of this machine", async () => {
  await serving(SERVE, async (url) => {
    const port = new URL(url).port;
    const { request } = await import("node:http");
    const status = await new Promise((resolve) => {
      request(
        { host: "127.0.0.1", port, path: "/v1/models", headers: { host: "evil.example" } },
        (response) => {
          resolve(response.statusCode);
          response.resume();
        },
      ).end();
    });
    expect(status).toBe(403);
  });
});

describe("is refused", () => {
  test.each([
    ["--host 0.0.0.0", "lets other machines in; give them a key"],
    ["--host ::", "lets other machines in"],
    ["--port 65536", "from 0 to 65535"],
    ["--max-body 0", "at least 1"],
    ["--parallel 65", "from 1 to 64"],
    ["--queue -1", "at least 0"],
  ])("%s", async (option, message) => {
    const { code, stderr, loads } = await runCli(`${SERVE} ${option}`);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
    expect(loads).toEqual([]);
  });

  test("an empty key", async () => {
    const { code, stderr } = await runCli([...SERVE.split(" "), "--api-key", ""]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("the key is empty")]);
  });
});

test("other machines with a key", async () => {
  const { code } = await serving(`${SERVE} --host 0.0.0.0 --api-key k`, async (url) => {
    const local = url.replace("0.0.0.0", "127.0.0.1");
    expect((await post(local, CHAT)).status).toBe(401);
    expect((await post(local, CHAT, { authorization: "Bearer k" })).status).toBe(200);
  });
  expect(code).toBe(0);
});

test("a second ctrl-C ends it at once", async () => {
  let pressed = 0;
  const { exits } = await runCli(SERVE, {
    watch(text, press) {
      if (!text.includes("address") && !text.includes("finishing")) return;
      pressed++;
      press();
    },
  });
  expect(pressed).toBe(2);
  expect(exits).toEqual([130]);
});
