/**
 * @file EAGLE-2's tree (arXiv:2406.16858): the 10 most valuable nodes of each of six levels are asked for 10 candidates each, and of
 * all of them the best are kept. That is OPT-Tree with limits and no delta; like it, this one does not ask when no answer could matter.
 */

import { OptTree } from "./opt-tree.ts";
import { fixed } from "./stop/fixed.ts";
import type { Structure } from "./structure.ts";

const WIDTH = 10;
const LEVELS = 6;

export function eagle2(): Structure {
  return new OptTree(fixed(LEVELS), { width: WIDTH, branches: WIDTH });
}
