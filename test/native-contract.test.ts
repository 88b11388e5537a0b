/** @file The native engine keeps the target's contract. */

import { nativeTarget, randomLlama } from "./native-model.ts";
import { describeTarget } from "./target-contract.ts";

const small = randomLlama({ heads: 2, kvHeads: 1, vocabSize: 40 }, 1);
const grouped = randomLlama(
  { hiddenSize: 192, heads: 6, kvHeads: 2, vocabSize: 519, matrixType: "Q8_0", tiedHead: false },
  2,
);

describeTarget("native, one thread, f16 cache", () => nativeTarget(small, { threads: 1 }));
describeTarget("native, two threads, f32 cache", () =>
  nativeTarget(grouped, { threads: 2, cacheType: "f32" }),
);
