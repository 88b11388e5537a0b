/** @file Memory comes back: after generations, after models that are freed, and after those that are only forgotten. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadModel } from "../src/engine/load.ts";
import type { Model } from "../src/session/model.ts";
import { writeGguf } from "./gguf-writer.ts";
import { speakingLlama } from "./native-model.ts";
import { collect } from "./toy-model.ts";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

/** 12 MB of weights, 4 MB of cache for 128 tokens, several MB of buffers: whichever of them stays is seen. */
const shape = { layers: 8, hiddenSize: 512, heads: 8, kvHeads: 8, feedForwardSize: 1024 };
let folder: string;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-memory-"));
  path = join(folder, "model.gguf");
  await writeFile(path, writeGguf(speakingLlama(shape)));
});
afterAll(() => rm(folder, { recursive: true }));

const load = () => loadModel(path, { threads: 1, passTimes: false, contextLength: 128 });
const talk = (model: Model, maxTokens = 3) => collect(model.generate({ prompt: "memory memory", maxTokens }));

/** MB by which the process grows while `use` is done `times` times more, after `warm` times before. */
async function growth(warm: number, times: number, use: (time: number) => Promise<void>): Promise<number> {
  const megabytes = async () => {
    // What is forgotten is freed when its collection has been told to the engine, which takes turns of the event loop.
    for (let i = 0; i < 3; i++) {
      gc();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return process.memoryUsage.rss() / 2 ** 20;
  };
  for (let time = 0; time < warm; time++) await use(time);
  const before = await megabytes();
  for (let time = 0; time < times; time++) await use(warm + time);
  return (await megabytes()) - before;
}

it("after 150 generations, some of them aborted or left", async () => {
  await using model = await load();
  const grown = await growth(20, 150, async (time) => {
    if (time % 3 === 0) {
      const signal = AbortSignal.abort();
      await collect(model.generate({ prompt: "memory", signal }));
    } else if (time % 3 === 1) {
      for await (const _ of model.generate({ prompt: "memory memory" })) break;
    } else await talk(model);
  });
  expect(grown).toBeLessThan(60);
});

it("after 40 texts of 8 MB each at once, but for what is kept for the next ones", async () => {
  await using model = await load();
  await talk(model);
  const grown = await growth(0, 1, async () => {
    const sessions = [];
    for (let i = 0; i < 40; i++) {
      const session = await model.createSession();
      await collect(session.generate({ prompt: "memory memory", maxTokens: 2 }));
      sessions.push(session);
    }
    for (const session of sessions) await session[Symbol.asyncDispose]();
  });
  expect(grown).toBeLessThan(160);
});

it("after 50 models that were freed", async () => {
  const grown = await growth(8, 50, async () => {
    await using model = await load();
    await talk(model);
  });
  expect(grown).toBeLessThan(60);
});

it("after 50 models that could not be loaded", async () => {
  const broken = join(folder, "broken.gguf");
  // The engine refuses heads of 16 values, but only after all weights have been read.
  await writeFile(broken, writeGguf(speakingLlama({ ...shape, heads: 32, kvHeads: 32 })));
  const grown = await growth(8, 50, async () => {
    await expect(loadModel(broken, { threads: 1, passTimes: false })).rejects.toThrow(/head_size/);
  });
  expect(grown).toBeLessThan(60);
});

it("after 50 models and sessions that were forgotten", async () => {
  const grown = await growth(8, 50, async (time) => {
    const model = await load();
    const session = await model.createSession();
    await collect(session.generate({ prompt: "memory", maxTokens: 2 }));
    // Collections come by themselves, but not because the engine's memory is full: JavaScript does not count that.
    if (time % 4 === 0) gc();
    await new Promise((resolve) => setImmediate(resolve));
  });
  expect(grown).toBeLessThan(120);
});
