/**
 * @file A model on the hub from end to end: the library and the built command download it, run it, and find it again where
 * there is no network. Needs `npm run build`.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type LoadOptions, loadModel } from "../src/index.ts";
import { writeGguf } from "./gguf-writer.ts";
import { HubServer } from "./hub-server.ts";
import { speakingLlama } from "./native-model.ts";
import { lastJson } from "./run-cli.ts";

const COMMAND = join(import.meta.dirname, "../dist/cli/main.js");
const NAME = "hf:owner/repo:Q4_1";

let hub: HubServer;
beforeEach(async () => {
  hub = await HubServer.start();
  hub.files.set("model-Q4_1.gguf", Buffer.from(writeGguf(speakingLlama())));
  hub.files.set("small/draft.gguf", Buffer.from(writeGguf(speakingLlama({ layers: 1 }, 2))));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub[Symbol.asyncDispose]();
});

describe("in the library", () => {
  beforeEach(() => {
    for (const [name, value] of Object.entries(hub.env)) vi.stubEnv(name, value);
  });
  const load = (options: LoadOptions = {}) => loadModel(NAME, { passTimes: false, ...options });

  test("a model and its draft model come, run, and are found again", async () => {
    const progress = new Map<string, number>();
    const draftModel = "hf:owner/repo/small/draft.gguf";
    const onDownload: LoadOptions["onDownload"] = ({ name, bytes }) => void progress.set(name, bytes);
    const texts: string[] = [];
    for (const more of [{ onDownload }, { download: false }]) {
      await using model = await load({ draftModel, ...more });
      expect(model.name).toBe("model-Q4_1");
      expect(model.methodNames).toContain("draft-model");
      for await (const event of model.generate({ prompt: "abcabc", maxTokens: 8 })) {
        if (event.type === "end") texts.push(event.text);
      }
    }
    expect(texts[1]).toBe(texts[0]);
    expect(Object.fromEntries(progress)).toEqual({
      [NAME]: hub.files.get("model-Q4_1.gguf")!.length,
      [draftModel]: hub.files.get("small/draft.gguf")!.length,
    });
    expect(hub.storageRequests).toHaveLength(2);
  });

  test("a refusal, and a signal", async () => {
    const offers: string[] = [];
    const download: LoadOptions["download"] = ({ name }) => offers.push(name) > 1;
    await expect(load({ download })).rejects.toMatchObject({ code: "not-downloaded" });
    expect(offers).toEqual([NAME]);
    await expect(load({ download: false })).rejects.toMatchObject({ code: "not-downloaded" });
    await expect(load({ signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
    expect(hub.storageRequests).toEqual([]);
  });
});

describe("on the command line", () => {
  async function espalier(args: readonly string[], use: (child: ChildProcess) => void = () => {}) {
    const child = spawn(process.execPath, [COMMAND, ...args], {
      env: { ...process.env, ...hub.env },
      stdio: "pipe",
    });
    use(child);
    const code = new Promise((done) => child.on("close", done));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { code: await code, stdout, stderr };
  }

  /** Waits until so many bytes of a download are on the disk. */
  async function kept(bytes: number): Promise<void> {
    const partial = `${hub.blobOf("model-Q4_1.gguf")}.espalier.incomplete`;
    while ((await stat(partial).catch(() => undefined))?.size !== bytes) await sleep(20);
  }

  test("generate, info and fetch", async () => {
    const generated = await espalier(["generate", "-m", NAME, "--prompt", "abc", "-n", "4", "--json"]);
    expect(generated.code, generated.stderr).toBe(0);
    expect(lastJson(generated.stdout)).toMatchObject({ tokens: { length: 4 } });
    const info = await espalier(["info", "hf:owner/repo/model-Q4_1.gguf", "--json"]);
    const fetched = await espalier(["fetch", NAME]);
    expect(fetched.stdout).toBe(`${lastJson(info.stdout).path}\n`);
    expect(hub.storageRequests).toHaveLength(1);
  });

  test("a known model is not downloaded unasked", async () => {
    const { code, stderr } = await espalier(["generate", "-m", "smollm2-135m", "--prompt", "abc"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^error: smollm2-135m is not on this machine; "espalier fetch smollm2-135m" downloads it/,
    );
  });

  test.skipIf(process.platform === "win32")("ctrl-C keeps what has come", async () => {
    const content = hub.files.get("model-Q4_1.gguf")!;
    let child: ChildProcess;
    hub.onStorage = (request, response) => {
      if (request.headers.range !== undefined) return false;
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 1000));
      void kept(1000).then(() => child.kill("SIGINT"));
      return true;
    };
    const stopped = await espalier(["fetch", NAME], (started) => {
      child = started;
    });
    expect(stopped).toMatchObject({ code: 130, stdout: "" });
    expect(stopped.stderr).toMatch(
      /stopped; what has come is kept, and the same again goes on from there\n$/,
    );
    expect((await espalier(["fetch", NAME])).code).toBe(0);
    expect(hub.storageRequests.at(-1)!.range).toBe("bytes=1000-");
  });
});
