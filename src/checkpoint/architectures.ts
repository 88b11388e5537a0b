/**
 * @file The families of decoders that can be read, and what sets them apart. Whatever is not said here is the same in all of
 * them, or stands in the file: biases, a head of its own, fused matrices, a window of attention.
 */

export interface ArchitectureTraits {
  /** Which values of a head turn together, as the family's files have their query and key rows; see RopeConfig. */
  readonly ropeOrder: "normal" | "neox";
  /** Each head's query and key is normed before it turns (arXiv:2010.04245). */
  readonly headNorms: boolean;
}

/** By the name that GGUF gives them in "general.architecture". */
export const architectures = {
  llama: { ropeOrder: "normal", headNorms: false },
  qwen2: { ropeOrder: "neox", headNorms: false },
  qwen3: { ropeOrder: "neox", headNorms: true },
} as const satisfies Record<string, ArchitectureTraits>;

export type Architecture = keyof typeof architectures;
