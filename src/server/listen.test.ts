/** @file Tests of the server on a port of this machine: silent clients, those that leave, and the end. */

import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { anEnd, CHAT, endless, Puppet, read, serving, textEvent } from "../../test/server.ts";
import { listen } from "./listen.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const streaming = (init: RequestInit = {}): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ ...CHAT, stream: true }),
  ...init,
});

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 5000 && !condition(); i++) await sleep(1);
  expect(condition()).toBe(true);
}

describe("a client", () => {
  test("that goes away ends its text, streamed or not, and frees its place", async () => {
    for (const stream of [true, false]) {
      const puppet = new Puppet(endless);
      const { app, log } = serving(puppet);
      const server = await listen(app, LOCAL);
      const controller = new AbortController();
      const init = streaming({ signal: controller.signal, body: JSON.stringify({ ...CHAT, stream }) });
      const reply = fetch(`${server.url}/v1/chat/completions`, init);
      if (stream) await (await reply).body!.getReader().read();
      await until(() => puppet.requests.length === 1);
      controller.abort();
      await reply.catch(() => {});
      await until(() => puppet.ended === 1);
      expect(log).toMatchObject([{ stopReason: "aborted" }]);
      await server.close();
    }
  });

  test("that has been answered may keep its connection for longer than clients do", async () => {
    const server = await listen(serving().app, LOCAL);
    const { headers } = await fetch(`${server.url}/health`);
    expect(headers.get("keep-alive")).toBe("timeout=75");
    await server.close();
  });

  test("that sends no headers is dropped", async () => {
    const server = await listen(serving().app, { ...LOCAL, headersMs: 100 });
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    socket.write("POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    let answer = "";
    socket.on("data", (data) => {
      answer += data;
    });
    await once(socket, "close");
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    await server.close();
  });

  test("that sends endless headers, or bodies, is refused", async () => {
    const { app } = serving(undefined, { maxBodyBytes: 1000 });
    const server = await listen(app, LOCAL);
    const headers = { "x-long": "x".repeat(20_000) };
    expect((await fetch(`${server.url}/health`, { headers })).status).toBe(431);
    const body = JSON.stringify({ ...CHAT, user: "u".repeat(2000) });
    expect(await read(fetch(`${server.url}/v1/chat/completions`, streaming({ body })))).toMatchObject({
      status: 413,
    });
    await server.close();
  });
});

test("closing waits for texts, sends them whole, and takes no new connections", async () => {
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const { app } = serving(
    new Puppet(async function* () {
      yield textEvent("A");
      await finished;
      yield anEnd();
    }),
  );
  const server = await listen(app, LOCAL);
  const running = await fetch(`${server.url}/v1/chat/completions`, streaming());
  let closed = false;
  const closing = server.close().then(() => {
    closed = true;
  });
  await expect(fetch(`${server.url}/health`, { headers: { connection: "close" } })).rejects.toThrow();
  expect(closed).toBe(false);
  finish();
  expect(await running.text()).toMatch(/"finish_reason":"stop".*data: \[DONE\]\n\n$/s);
  await closing;
});

test("an address that cannot be had is an error that says what to do", async () => {
  const server = await listen(serving().app, LOCAL);
  const port = Number(new URL(server.url).port);
  await expect(listen(serving().app, { ...LOCAL, port })).rejects.toMatchObject({
    code: "no-address",
    message: expect.stringContaining("another program has it; give another --port"),
  });
  await server.close();
});
