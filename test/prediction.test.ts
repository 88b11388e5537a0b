/** @file A predicted text beside every method of a real model, and beside an exit block: it never changes what is written. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { loadModel } from "../src/engine/load.ts";
import type { Model } from "../src/session/model.ts";
import { copiedExit } from "./exit-writer.ts";
import { writeGguf } from "./gguf-writer.ts";
import { collect } from "./toy-model.ts";

async function unchanged(model: Model, prompt: string, methods: readonly string[]): Promise<void> {
  const request = { prompt, maxTokens: 40, method: "plain" };
  const { text, tokens, end } = await collect(model.generate(request));
  expect(tokens.length).toBeGreaterThan(20);
  const edited = `${text.slice(0, 30)} or not ${text.slice(40)}`;
  for (const method of methods) {
    for (const prediction of [text, edited]) {
      const predicted = await collect(model.generate({ ...request, method, prediction, budget: 12 }));
      expect(predicted.tokens, method).toEqual(tokens);
      expect(predicted.end.stats.byDrafter.prediction!.accepted, method).toBeGreaterThan(0);
      expect(predicted.end.stats.passes, method).toBeLessThan(end.stats.passes);
    }
  }
}

test("beside every method of the embedded model", async () => {
  await using model = await loadModel(undefined, { passTimes: false });
  await unchanged(model, "Once upon a time", model.methodNames);
});

test("beside an exit block, which runs the first layers of its own guesses alone", async () => {
  const target = fileURLToPath(new URL("fixtures/heads/target.gguf", import.meta.url));
  const folder = await mkdtemp(join(tmpdir(), "espalier-prediction-"));
  try {
    const exit = join(folder, "block.gguf");
    await writeFile(exit, writeGguf(await copiedExit(target, { exitLayer: 3 })));
    await using model = await loadModel(target, { exit, passTimes: false });
    await unchanged(model, "a state of the", ["eesd:3", "eesd:tree", "eesd"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
