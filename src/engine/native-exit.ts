/**
 * @file An exit block in the native engine: a draft head that is one layer and a norm. Its output is rows of the target's own output matrix;
 * all else of the target it shares.
 */

import { type ExitConfig, readExitConfig } from "../checkpoint/exit-file.ts";
import { openGguf } from "../checkpoint/gguf.ts";
import { findBlockTensors, type HeadTarget } from "../checkpoint/head-file.ts";
import { EspalierError } from "../errors.ts";
import type { ExitBlock } from "../target/exit-block.ts";
import type { Arena, Matrix } from "./binding.ts";
import { blockSpec, type HeadWeights, NativeHead, refusal } from "./native-head.ts";
import type { NativeTarget } from "./native-target.ts";
import { matricesOf, readLayer, readMatrices, readVector } from "./weights.ts";

/** Opens a block for `target`, whose vocabulary is `tokens`, as openHead does a head. */
export async function openExit(
  path: string,
  target: NativeTarget,
  tokens: readonly string[],
): Promise<NativeExit> {
  await using gguf = await openGguf(path);
  const headTarget = { config: target.config, tokens };
  const config = readExitConfig(gguf, headTarget);
  findBlockTensors(gguf, config);
  return new NativeExit(target, config, () => readExit(path, target, headTarget));
}

async function readExit(path: string, target: NativeTarget, headTarget: HeadTarget): Promise<HeadWeights> {
  await using gguf = await openGguf(path);
  const config = readExitConfig(gguf, headTarget);
  const { layer, outputNorm } = findBlockTensors(gguf, config);
  const { binding } = target;
  const { arena, matrix } = await readMatrices(binding, gguf, matricesOf(layer));
  const arenas = [arena];
  try {
    const output = outputOf(target, config.draftVocab);
    if (output.arena) arenas.push(output.arena);
    const stack = binding.createStack(target.pool, {
      ...blockSpec(config),
      layers: [{ ...(await readLayer(gguf, layer, matrix)), rope: 0, window: config.window ?? 0 }],
      finalNorm: await readVector(gguf, outputNorm),
      head: output.matrix,
    });
    return { arenas, stack };
  } catch (cause) {
    for (const arena of arenas) binding.release(arena);
    throw refusal(path, cause);
  }
}

/** The target's output rows of these tokens: its own matrix when they are all there in order, else in an arena of their own. */
function outputOf(
  { binding, output, vocabSize }: NativeTarget,
  tokens: Int32Array,
): { matrix: Matrix; arena?: Arena } {
  if (tokens.length === vocabSize && tokens.every((token, row) => token === row)) return { matrix: output };
  const bytes = binding.gatheredBytes(output, tokens.length);
  const arena = binding.createArena(bytes);
  if (!arena) {
    throw new EspalierError(
      "out-of-memory",
      `no memory for ${Math.ceil(bytes / 2 ** 20)} MB of an exit block's output`,
    );
  }
  const matrix = binding.gatherMatrix(arena, output, tokens);
  if (!matrix) throw new Error("internal: rows of the output");
  return { matrix, arena };
}

export class NativeExit extends NativeHead implements ExitBlock {
  readonly exitLayer: number;

  constructor(target: NativeTarget, config: ExitConfig, read: () => Promise<HeadWeights>) {
    super(target, config, read);
    this.exitLayer = config.taps[0];
  }
}
