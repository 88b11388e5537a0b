/** @file Texts that are asked for while a warm-up runs on the same engine: the same as without, whatever the warm-up was in the middle of. */

import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { type LoadOptions, loadModel } from "../src/engine/load.ts";
import type { GenerateRequest } from "../src/session/api.ts";
import { collect } from "./toy-model.ts";

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/heads/${name}`, import.meta.url));
const requests: readonly GenerateRequest[] = [
  { prompt: "Once upon a time", maxTokens: 40 },
  { prompt: "Tom and Lily", maxTokens: 40, temperature: 0.9, seed: 3 },
];

test.each([
  ["a draft model", undefined, {}],
  ["a draft head", fixture("target.gguf"), { head: fixture("eagle-fused.gguf") }],
] as const)("beside %s", async (_, path, options: LoadOptions) => {
  await using plain = await loadModel(path, options);
  const alone = [];
  for (const request of requests) alone.push(await collect(plain.generate({ ...request, method: "plain" })));
  for (const wait of [1, 7, 20, 60]) {
    await using model = await loadModel(path, options);
    const warm = model.warmUp({ ms: 600_000 });
    await new Promise((resolve) => setTimeout(resolve, wait));
    const texts = await Promise.all(requests.map((request) => collect(model.generate(request))));
    await warm;
    expect(texts.map(({ tokens }) => tokens)).toEqual(alone.map(({ tokens }) => tokens));
  }
});
