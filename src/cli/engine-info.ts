/** @file What a model's engine says of itself. */

import type { Model } from "../session/model.ts";

export interface EngineInfo {
  /** The instruction set that was chosen, such as "avx512vnni". */
  readonly isa: string;
  readonly threads: number;
}

/** Targets other than the engine, which only tests have, say "none". */
export function engineOf(model: Model): EngineInfo {
  const target: Partial<EngineInfo> = model.parts.target as object;
  return { isa: target.isa ?? "none", threads: target.threads ?? 1 };
}
