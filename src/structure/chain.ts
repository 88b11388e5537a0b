/** @file A chain: OPT-Tree with one candidate a node, as long as its stop rule lets it grow. */

import { OptTree } from "./opt-tree.ts";
import type { StopRule } from "./stop/stop-rule.ts";
import type { Structure } from "./structure.ts";

export function chain(stop: StopRule): Structure {
  return new OptTree(stop, { width: 1, branches: 1 });
}
