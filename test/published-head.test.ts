/**
 * @file What can be wrong with a draft head as it is published; `eagle.test.ts` and `draft-head.test.ts` check what right ones compute
 * (test/reference/published_heads.py wrote them).
 */

import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadModel } from "../src/engine/load.ts";
import { collect } from "./toy-model.ts";

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/heads/${name}`, import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-published-"));
});
afterEach(() => rm(folder, { recursive: true }));

const load = (head: string) => loadModel(fixture("target.gguf"), { head, passTimes: false });

async function copied(name: string): Promise<void> {
  await cp(fixture(name), folder, { recursive: true });
}

/** Writes other settings into the copy. */
async function setting(changes: Readonly<Record<string, unknown>>): Promise<void> {
  const path = join(folder, "config.json");
  const config = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  await writeFile(path, JSON.stringify({ ...config, ...changes }));
}

/** Changes bytes of the copy's tensors; a name keeps its length. */
async function patch(change: (bytes: Buffer) => void): Promise<void> {
  const path = join(folder, "model.safetensors");
  const bytes = await readFile(path);
  change(bytes);
  await writeFile(path, bytes);
}

async function refused(code: string, message: RegExp): Promise<void> {
  await expect(load(folder)).rejects.toMatchObject({
    name: "EspalierError",
    code,
    message: expect.stringMatching(message),
  });
}

test.each(["published-1", "published-3"])("%s drafts, and changes no token", async (name) => {
  await using model = await load(fixture(name));
  const request = { prompt: "the theory of the", maxTokens: 50 };
  const plain = await collect(model.generate({ ...request, method: "plain" }));
  const drafted = await collect(model.generate({ ...request, method: "eagle", budget: 16 }));
  expect(drafted.tokens).toEqual(plain.tokens);
  expect(drafted.end.stats.byDrafter.eagle!.drafted).toBeGreaterThan(0);
});

describe("a configuration", () => {
  test.each([
    [{ hidden_size: 96 }, "wrong-head", /hidden size 96, this one has 64/],
    [{ target_hidden_size: 128 }, "wrong-head", /hidden size 128, this one has 64/],
    [{ vocab_size: 32_000 }, "wrong-head", /vocabulary size 32000/],
    [{ num_hidden_layers: 2 }, "bad-model", /more than one layer/],
    [{ hidden_act: "gelu" }, "bad-model", /"hidden_act" is "gelu"; supported: "silu"/],
    [{ rope_scaling: { rope_type: "llama3" } }, "bad-model", /"rope_scaling" is not supported/],
    [{ num_attention_heads: 3, num_key_value_heads: 2 }, "bad-model", /3 attention heads cannot share 2/],
    [{ num_attention_heads: "2" }, "bad-model", /"num_attention_heads" is "2"; it must be an integer/],
    [
      { intermediate_size: 97 },
      "bad-model",
      /mlp\.gate_proj\.weight" is 64 x 96, a head like this needs 64 x 97/,
    ],
    [{ rms_norm_eps: 5 }, "bad-model", /"rms_norm_eps" is 5/],
    [{ draft_vocab_size: 100 }, "bad-model", /"d2t" is 120, a head like this needs 100/],
  ])("of %j is refused", async (changes, code, message) => {
    await copied("published-3");
    await setting(changes);
    await refused(code, message);
  });

  test("that is no JSON object, or is not there, is refused", async () => {
    await copied("published-1");
    for (const text of ["[]", "null", "1"]) {
      await writeFile(join(folder, "config.json"), text);
      await refused("bad-model", /no JSON object/);
    }
    await writeFile(join(folder, "config.json"), "{");
    await refused("damaged-file", /not JSON/);
    await rm(join(folder, "config.json"));
    await refused("file-not-found", /a folder with config\.json and model\.safetensors/);
  });
});

describe("tensors", () => {
  test("that are missing are named", async () => {
    await copied("published-1");
    await patch((bytes) => bytes.write("fc.waight", bytes.indexOf("fc.weight")));
    await refused("missing-tensor", /no tensor "fc\.weight"/);
    await rm(join(folder, "model.safetensors"));
    await refused("file-not-found", /model\.safetensors/);
  });

  test("whose vocabulary is not the model's, or has a token twice, are refused", async () => {
    const shifts = async (change: (at: number, bytes: Buffer) => void) => {
      await copied("published-3");
      await patch((bytes) => {
        const length = Number(bytes.readBigUInt64LE());
        const header = JSON.parse(bytes.toString("utf8", 8, 8 + length)) as Record<
          string,
          { data_offsets: number[] }
        >;
        change(8 + length + header.d2t!.data_offsets[0]!, bytes);
      });
      await refused("bad-model", /"d2t" has token .* twice, or beyond/);
    };
    await shifts((at, bytes) => bytes.writeBigInt64LE(1000n, at));
    await shifts((at, bytes) => bytes.writeBigInt64LE(-1n, at));
    await shifts((at, bytes) => bytes.writeBigInt64LE(bytes.readBigInt64LE(at) - 1n, at + 8));
  });

  test("that are cut off are refused wherever the file ends", async () => {
    await copied("published-3");
    const whole = await readFile(join(folder, "model.safetensors"));
    for (const part of [0, 0.001, 0.3, 0.999]) {
      await writeFile(join(folder, "model.safetensors"), whole.subarray(0, Math.floor(part * whole.length)));
      await refused("damaged-file", /model\.safetensors/);
    }
  });
});
