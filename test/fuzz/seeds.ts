/** @file The valid files that cases start from: small models that speak, and one with the real vocabulary of the embedded model. */

import { openGguf } from "../../src/checkpoint/gguf.ts";
import type { MetadataValue } from "../../src/checkpoint/gguf-value.ts";
import { type GgufFile, type GgufValue, writeGguf } from "../gguf-writer.ts";
import { randomLlama, speakingLlama } from "../native-model.ts";
import { type Layout, layoutOf } from "./fields.ts";

export interface Seed {
  readonly name: string;
  readonly file: GgufFile;
  readonly bytes: Buffer;
  readonly layout: Layout;
}

/** The value as the writer takes it. */
function written(value: MetadataValue): GgufValue {
  if (value.type !== "array") return value;
  const { type, of } = value;
  return { type, of, value: Array.from<number | bigint | boolean | string>(value.value) };
}

/** `embedded`: path of a GGUF file whose vocabulary is taken, on weights as small as they can be. */
export async function readSeeds(embedded: string): Promise<readonly Seed[]> {
  const tiny = { layers: 1, hiddenSize: 64, feedForwardSize: 32, heads: 2, kvHeads: 1 };
  await using model = await openGguf(embedded);
  const vocabulary = [...model.metadata].filter(([key]) => !key.startsWith("llama."));
  const vocabSize = model.tensors.get("token_embd.weight")!.shape[1]!;
  const small = randomLlama({ ...tiny, vocabSize }, 5);
  const files: readonly (readonly [string, GgufFile])[] = [
    ["Q4_1", speakingLlama(tiny, 1)],
    [
      "Q8_0, two layers, a head of its own",
      speakingLlama({ ...tiny, layers: 2, matrixType: "Q8_0", tiedHead: false }, 2),
    ],
    ["Q4_0", speakingLlama({ ...tiny, matrixType: "Q4_0" }, 3)],
    [
      "embedded",
      {
        ...small,
        metadata: [
          ...vocabulary.map(([key, value]) => [key, written(value)] as const),
          ...small.metadata.filter(([key]) => String(key).startsWith("llama.")),
        ],
      },
    ],
  ];
  return files.map(([name, file]) => {
    const bytes = writeGguf(file);
    return { name, file, bytes, layout: layoutOf(bytes) };
  });
}
