/** @file Plain decoding: a tree of its root alone. The baseline, and not a special case. */

import { BestFirst } from "../structure/best-first.ts";
import type { Method } from "./method.ts";

export function plain(): Method {
  return { name: "plain", compose: () => ({ structure: new BestFirst(), drafters: [] }) };
}
