/** @file The valid files that cases start from: small models that speak, of every architecture and kind of vocabulary, and draft heads. */

import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { ggmlType } from "../../src/checkpoint/ggml-types.ts";
import { openGguf } from "../../src/checkpoint/gguf.ts";
import type { MetadataValue } from "../../src/checkpoint/gguf-value.ts";
import { type GgufFile, type GgufTensor, type GgufValue, writeGguf } from "../gguf-writer.ts";
import { numbers, randomLlama, speakingLlama } from "../native-model.ts";
import { randomBlocks } from "../random-blocks.ts";
import { type Layout, layoutOf } from "./fields.ts";

export interface Seed {
  readonly name: string;
  readonly file: GgufFile;
  readonly bytes: Buffer;
  readonly layout: Layout;
  /** Path of the model that the file is a draft head for; undefined where it is a model itself. */
  readonly target: string | undefined;
}

/** Where seeds are read from. */
export interface SeedFiles {
  /** Path of a GGUF file whose vocabulary is taken, on weights as small as they can be. */
  readonly embedded: string;
  /** Path of `test/fixtures`. */
  readonly fixtures: string;
}

/** The value as the writer takes it. */
function written(value: MetadataValue): GgufValue {
  if (value.type !== "array") return value;
  const { type, of } = value;
  return { type, of, value: Array.from<number | bigint | boolean | string>(value.value) };
}

async function read(path: string): Promise<GgufFile> {
  await using gguf = await openGguf(path);
  const tensors: GgufTensor[] = [];
  for (const tensor of gguf.tensors.values()) {
    const data = new Uint8Array(tensor.byteLength);
    await gguf.read(tensor, data);
    tensors.push({ name: tensor.name, type: tensor.type.id, shape: tensor.shape, data });
  }
  return { metadata: [...gguf.metadata].map(([key, value]) => [key, written(value)] as const), tensors };
}

async function readPacked(path: string): Promise<GgufFile> {
  const folder = await mkdtemp(join(tmpdir(), "espalier-seed-"));
  try {
    const file = join(folder, "vocabulary.gguf");
    await writeFile(file, gunzipSync(readFileSync(path)));
    return await read(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What `vocabulary` says of its tokenizer, on the layers of `model`, with embeddings and head for so many tokens. */
function joined(model: GgufFile, vocabulary: GgufFile): GgufFile {
  const ofTokenizer = vocabulary.metadata.filter(([key]) => String(key).startsWith("tokenizer."));
  const tokens = ofTokenizer.find(([key]) => key === "tokenizer.ggml.tokens")![1];
  const rows = (tokens.value as readonly unknown[]).length;
  const tensors = model.tensors.map((tensor) => {
    if (tensor.name !== "token_embd.weight" && tensor.name !== "output.weight") return tensor;
    const { name, blockSize, blockBytes } = ggmlType(tensor.type)!;
    const columns = Number(tensor.shape[0]);
    const data = randomBlocks(name, numbers(rows), (rows * columns * blockBytes) / blockSize);
    return { ...tensor, shape: [columns, rows], data };
  });
  const ofModel = model.metadata.filter(([key]) => !String(key).startsWith("tokenizer."));
  return { metadata: [...ofModel, ...ofTokenizer], tensors };
}

/** The last has a vocabulary that takes longer than all the rest. */
export async function readSeeds({ embedded, fixtures }: SeedFiles): Promise<readonly Seed[]> {
  const tiny = { layers: 1, hiddenSize: 64, feedForwardSize: 32, heads: 2, kvHeads: 1 };
  const architecture = (name: string) => read(join(fixtures, "architectures", `${name}.gguf`));
  const vocabulary = (name: string) => readPacked(join(fixtures, "tokenizers", `${name}.gguf.gz`));
  const qwen = speakingLlama({ metadata: { "tokenizer.ggml.pre": { type: "string", value: "qwen2" } } });
  const gemma = await vocabulary("gemma");
  const model = await read(embedded);
  const vocabSize = Number(model.tensors.find(({ name }) => name === "token_embd.weight")!.shape[1]);
  const target = join(fixtures, "heads", "target.gguf");
  const head = (name: string) => read(join(fixtures, "heads", `${name}.gguf`));
  const files: readonly (readonly [name: string, file: GgufFile, target?: string])[] = [
    ["Q4_1", speakingLlama(tiny, 1)],
    [
      "Q8_0, two layers, a head of its own",
      speakingLlama({ ...tiny, layers: 2, matrixType: "Q8_0", tiedHead: false }, 2),
    ],
    ["Q4_0", speakingLlama({ ...tiny, matrixType: "Q4_0" }, 3)],
    ["llama, SentencePiece", joined(await architecture("llama"), await vocabulary("llama"))],
    ["mistral", joined(await architecture("mistral"), qwen)],
    ["qwen2", joined(await architecture("qwen2"), qwen)],
    ["qwen2, YaRN", joined(await architecture("qwen2-yarn"), qwen)],
    ["qwen3", joined(await architecture("qwen3"), qwen)],
    ["phi3, SentencePiece", joined(await architecture("phi3"), await vocabulary("phi3"))],
    ["gemma2, SentencePiece", joined(await architecture("gemma2"), gemma)],
    ["gemma3, SentencePiece", joined(await architecture("gemma3"), gemma)],
    ["head", await head("eagle-1"), target],
    ["fused head", await head("eagle-fused"), target],
    ["embedded", joined(randomLlama({ ...tiny, vocabSize }, 5), model)],
  ];
  return files.map(([name, file, target]) => {
    const bytes = writeGguf(file);
    return { name, file, bytes, layout: layoutOf(bytes), target };
  });
}
