/**
 * @file Reads the file of an exit block (`training/eesd/README.md` has the format) and checks that it belongs to a target. Nothing in it
 * is trusted: what contradicts itself or the target ends in an EspalierError.
 */

import type { Gguf } from "./gguf.ts";
import { describeText } from "./gguf-value.ts";
import { type BlockConfig, checkTarget, type HeadTarget, readBlockConfig } from "./head-file.ts";
import { Metadata } from "./metadata.ts";

export const exitArchitecture = "espalier-exit";

/** Its one tap is the layer behind which it stands. */
export interface ExitConfig extends BlockConfig {
  readonly taps: readonly [number];
}

/** Throws EspalierError "bad-model" for a file that is no exit block or contradicts itself, "wrong-head" for the block of another target. */
export function readExitConfig(gguf: Gguf, target: HeadTarget): ExitConfig {
  const metadata = new Metadata(gguf);
  const architecture = metadata.string("general.architecture");
  if (architecture !== exitArchitecture) {
    throw metadata.bad(
      `this is no exit block: its architecture is ${describeText(architecture ?? "")}, a block's is "${exitArchitecture}"`,
    );
  }
  checkTarget(gguf, exitArchitecture, target, "an exit block");
  const layers = { min: 1, max: target.config.layers - 1 };
  return {
    ...readBlockConfig(metadata, exitArchitecture, target),
    taps: [metadata.integer(`${exitArchitecture}.exit_layer`, layers)],
  };
}
