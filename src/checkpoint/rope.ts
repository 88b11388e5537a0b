/** @file How positions turn query and key vectors (RoPE, arXiv:2104.09864), and how files stretch it to longer texts. */

import type { Metadata } from "./metadata.ts";

export interface RopeConfig {
  /** "normal": neighbours (2i, 2i+1) turn together; "neox": (i, i + dims/2). */
  readonly order: "normal" | "neox";
  /** Values of a head that turn, even, at most headSize. */
  readonly dims: number;
  readonly base: number;
  readonly scaling: RopeScaling;
}

/**
 * "linear": every angle is divided by the factor (arXiv:2306.15595). "yarn": the slow ones are, the fast ones are not, and turned
 * values are multiplied by the amplitude (arXiv:2309.00071). "longrope": the file has a divisor for each pair, one list for texts
 * up to the original context and one for longer ones (arXiv:2402.13753).
 */
export type RopeScaling =
  | { readonly type: "none" }
  | { readonly type: "linear"; readonly factor: number }
  | {
      readonly type: "yarn";
      readonly factor: number;
      readonly originalContext: number;
      /** Turns within the original context from which on a pair is fast, and up to which it is slow. */
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly amplitude: number;
    }
  | { readonly type: "longrope"; readonly originalContext: number; readonly amplitude: number };

/** `hasLists`: the file has divisors for long and short texts, which old files of phi3 do not announce otherwise. */
export function readRopeScaling(
  metadata: Metadata,
  key: (name: string) => string,
  hasLists: boolean,
): RopeScaling {
  const stated = metadata.string(key("rope.scaling.type"));
  const type = stated ?? (hasLists ? "longrope" : "linear");
  const factorKey = [key("rope.scaling.factor"), key("rope.scale_linear")].find((name) => metadata.has(name));
  const factor = factorKey === undefined ? 1 : metadata.float(factorKey, { min: 1, max: 65_536 });
  const contextLength = metadata.integer(key("context_length"), { min: 1, max: 2 ** 31 });
  const originalContext = () =>
    metadata.integer(
      key("rope.scaling.original_context_length"),
      { min: 2, max: contextLength },
      contextLength,
    );
  const amplitude = (name: string, fallback: number) =>
    metadata.float(key(name), { min: 0.01, max: 16 }, fallback);
  switch (type) {
    case "none":
      return { type };
    case "linear":
      return factor === 1 ? { type: "none" } : { type, factor };
    case "yarn": {
      const beta = (name: string, fallback: number) =>
        metadata.float(key(`rope.scaling.yarn_beta_${name}`), { min: 0.001, max: 1e6 }, fallback);
      return {
        type,
        factor,
        originalContext: originalContext(),
        betaFast: beta("fast", 32),
        betaSlow: beta("slow", 1),
        amplitude: amplitude("rope.scaling.yarn_attn_factor", 1 + 0.1 * Math.log(factor)),
      };
    }
    case "longrope": {
      const original = originalContext();
      const growth = Math.log(contextLength / original) / Math.log(original);
      return {
        type,
        originalContext: original,
        amplitude: amplitude("rope.scaling.attn_factor", Math.sqrt(1 + growth)),
      };
    }
    default:
      throw metadata.unsupported(
        `metadata "${key("rope.scaling.type")}" is ${JSON.stringify(type.slice(0, 60))}; supported: none, linear, yarn, longrope`,
      );
  }
}

/** What turned values are multiplied by. */
export function ropeAmplitude({ scaling }: RopeConfig): number {
  return "amplitude" in scaling ? scaling.amplitude : 1;
}

/** What the angle of each pair is divided by; undefined: nothing is. `listed`: the file's own divisors, of dims / 2 pairs. */
export function ropeFactors(rope: RopeConfig, listed?: Float32Array): Float32Array | undefined {
  const { scaling } = rope;
  if (scaling.type !== "linear" && scaling.type !== "yarn") return listed;
  const ramp = scaling.type === "yarn" ? yarnRamp(rope, scaling) : () => 1;
  return Float32Array.from({ length: rope.dims / 2 }, (_, pair) => {
    const stretched = ramp(pair);
    return (listed?.[pair] ?? 1) / (stretched / scaling.factor + 1 - stretched);
  });
}

/** From 0 at pairs that turn fast to 1 at slow ones. */
function yarnRamp(
  { dims, base }: RopeConfig,
  { originalContext, betaFast, betaSlow }: RopeScaling & { readonly type: "yarn" },
): (pair: number) => number {
  /** The pair that turns so many times within the original context. */
  const pairOf = (turns: number) =>
    (dims * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(0, Math.floor(pairOf(betaFast)));
  const high = Math.min(dims - 1, Math.ceil(pairOf(betaSlow)));
  return (pair) => Math.min(1, Math.max(0, (pair - low) / Math.max(0.001, high - low)));
}
