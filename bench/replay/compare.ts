/** @file The comparisons of the papers, on a trace: what is compared, and what comes out. */

import { chain } from "../../src/structure/chain.ts";
import { eagle2 } from "../../src/structure/eagle-2.ts";
import { OptTree } from "../../src/structure/opt-tree.ts";
import { betaTs } from "../../src/structure/stop/beta-ts.ts";
import { calibrationTs, costAware } from "../../src/structure/stop/calibration-ts.ts";
import { ddd } from "../../src/structure/stop/ddd.ts";
import { delta } from "../../src/structure/stop/delta.ts";
import { fixed } from "../../src/structure/stop/fixed.ts";
import { all, any, type StopRule } from "../../src/structure/stop/stop-rule.ts";
import type { Structure } from "../../src/structure/structure.ts";
import { LONGEST } from "./record.ts";
import { oracle, predicted, priced, type Replayed, replay, type TraceDrafter } from "./replay.ts";
import { BRANCHES, type Trace } from "./trace.ts";

/** What a trace gives under a name. */
export type Comparison = Readonly<Record<string, Replayed>>;

/** Of chains that always have the same one. */
export const LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8];
const THRESHOLDS = [0.2, 0.4, 0.6, 0.8, 1];
/** Of a question, in passes. */
export const COSTS = [0.1, 0.3];
const DELTAS = [0.2, 0.5, 0.8];
const never: StopRule = { continue: () => true };
const treeOf = (rule: StopRule) => new OptTree(rule, { branches: BRANCHES });

/** The comparison of AdaEAGLE (arXiv:2412.18910, Table 2), and EESD's rules (arXiv:2406.03853): what ends a chain. */
export async function compareRules(trace: Trace): Promise<Comparison> {
  const rules: Record<string, (drafter: TraceDrafter) => StopRule> = {};
  for (const length of LENGTHS) rules[`length ${length}`] = () => fixed(length);
  for (const threshold of THRESHOLDS) rules[`ddd ${threshold}`] = () => ddd(-threshold);
  if (trace.texts.every(({ lengths }) => lengths !== undefined)) {
    const ldlp = (drafter: TraceDrafter) => predicted(drafter, LONGEST);
    rules.ldlp = ldlp;
    for (const threshold of THRESHOLDS) {
      rules[`ldlp and ddd ${threshold}`] = (drafter) => all(ldlp(drafter), ddd(-threshold));
    }
  }
  rules["beta-ts"] = () => betaTs();
  for (const cost of COSTS) {
    rules[`calibration-ts, cost ${cost}`] = () => priced(calibrationTs(), cost);
    rules[`cost-aware, cost ${cost}`] = () => priced(costAware(), cost);
  }
  rules.oracle = oracle;
  return await each(rules, (rule) => ({
    structure: (drafter: TraceDrafter) => chain(any(fixed(LONGEST), rule(drafter))),
    nodes: LONGEST + 1,
  }));

  async function each<T>(named: Record<string, T>, options: (of: T) => Parameters<typeof replay>[1]) {
    const results: Record<string, Replayed> = {};
    for (const [name, of] of Object.entries(named)) results[name] = await replay(trace, options(of));
    return results;
  }
}

/**
 * OPT-Tree's comparison (arXiv:2406.17276, Tables 1 and 2): trees of as many nodes, by odds that are counted as methods do. Odds lead to
 * other nodes than those recorded, so trees have at most half of the recorded nodes.
 */
export async function compareTrees(trace: Trace): Promise<Comparison> {
  const results: Record<string, Replayed> = {};
  for (let nodes = 2; 2 * nodes <= trace.nodes; nodes = 2 * nodes) {
    const structures: Record<string, () => Structure> = {
      "opt-tree": () => treeOf(never),
      ...Object.fromEntries(DELTAS.map((least) => [`opt-tree, delta ${least}`, () => treeOf(delta(least))])),
      "eagle-2": eagle2,
      chain: () => chain(fixed(LONGEST)),
    };
    for (const [name, structure] of Object.entries(structures)) {
      results[`${nodes} nodes, ${name}`] = await replay(trace, { structure, nodes, calibrated: true });
    }
  }
  return results;
}

/** OPT-Tree's expectation against what was accepted (arXiv:2406.17276, Figure 3), at every position, by what was expected. */
export async function compareExpectation(trace: Trace, nodes: number) {
  const { steps, unknown } = await replay(trace, {
    structure: () => treeOf(never),
    nodes,
    calibrated: true,
    everywhere: true,
  });
  const mean = (of: "expected" | "accepted", some: Replayed["steps"]) =>
    some.reduce((sum, step) => sum + step[of], 0) / some.length;
  const bins = new Map<number, Replayed["steps"][number][]>();
  for (const step of steps) {
    const bin = Math.floor(2 * step.expected) / 2;
    bins.set(bin, [...(bins.get(bin) ?? []), step]);
  }
  return {
    steps: steps.length,
    unknown,
    expected: mean("expected", steps),
    accepted: mean("accepted", steps),
    bins: [...bins]
      .sort(([a], [b]) => a - b)
      .map(([from, some]) => ({
        from,
        steps: some.length,
        expected: mean("expected", some),
        accepted: mean("accepted", some),
      })),
  };
}
