/**
 * @file The families of decoders that can be read, and what sets them apart. Whatever is not said here is the same in all of
 * them, or stands in the file: biases, a head of its own, fused matrices, a window of attention.
 */

export interface ArchitectureTraits {
  /** Which values of a head turn together, as the family's files have their query and key rows; see RopeConfig. */
  readonly ropeOrder: "normal" | "neox";
  /** Each head's query and key is normed before it turns (arXiv:2010.04245). */
  readonly headNorms?: boolean;
  /** What attention and feed-forward add is normed first. */
  readonly postNorms?: boolean;
  /** What opens the feed-forward's gate: SiLU, or GELU in its tanh form. */
  readonly activation?: "silu" | "gelu";
  /** Embedded tokens are multiplied by the square root of the hidden size. */
  readonly scaledEmbedding?: boolean;
  /** Each n-th layer sees all positions and the others a window of them; without this a window is every layer's. */
  readonly fullEvery?: number;
  /** The window where the file states none. */
  readonly window?: number;
  /** The base of rotation in layers with a window, whose angles are never stretched. */
  readonly localRopeBase?: number;
  /** Caps of attention scores and logits where the file states none. */
  readonly caps?: { readonly attention: number; readonly logits: number };
  /**
   * The member with so many layers scales attention by hiddenSize / heads instead of headSize. Files do not say so; it is
   * the 27B model of its family.
   */
  readonly layersScaledByHidden?: number;
}

/** By the name that GGUF gives them in "general.architecture". */
export const architectures = {
  llama: { ropeOrder: "normal" },
  qwen2: { ropeOrder: "neox" },
  qwen3: { ropeOrder: "neox", headNorms: true },
  phi3: { ropeOrder: "neox" },
  gemma2: {
    ropeOrder: "neox",
    postNorms: true,
    activation: "gelu",
    scaledEmbedding: true,
    fullEvery: 2,
    window: 4096,
    caps: { attention: 50, logits: 30 },
    layersScaledByHidden: 46,
  },
  gemma3: {
    ropeOrder: "neox",
    headNorms: true,
    postNorms: true,
    activation: "gelu",
    scaledEmbedding: true,
    fullEvery: 6,
    localRopeBase: 10_000,
    layersScaledByHidden: 62,
  },
} as const satisfies Record<string, ArchitectureTraits>;

export type Architecture = keyof typeof architectures;
