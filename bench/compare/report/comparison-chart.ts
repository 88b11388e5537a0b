/** @file The chart of `bench:compare`: tokens a second by category. */

import { type Chart, chartSvg } from "./chart.ts";
import { featuredMethod, headlines, PEER } from "./comparison.ts";
import { allContenders, distinct, ownOf } from "./conditions.ts";
import { PLAIN } from "./figures.ts";
import type { Records } from "./records.ts";

export function comparisonChart(records: Records, wanted?: string, busy?: number): string {
  const featured = featuredMethod(ownOf(allContenders(records.runs)), wanted);
  const lines = headlines(records, featured, busy);
  const [{ model, machine, threads } = undefined!] = records.runs;
  const bars = [
    ...(lines.some(({ best }) => best !== undefined) ? (["best"] as const) : []),
    "plain" as const,
    ...(featured === PLAIN ? [] : (["featured"] as const)),
  ];
  const titles = {
    best: `${PEER}, its best mode`,
    plain: `Espalier, ${PLAIN}`,
    featured: `Espalier, ${featured}`,
  };
  const chart: Chart = {
    title: `${model.name}: tokens per second`,
    subtitle: `${machine.cpu}, ${threads} threads, median over prompts, Espalier ${distinct(records.runs.map(({ commit }) => commit.slice(0, 7))).join(" and ")}`,
    series: bars.map((bar) => titles[bar]),
    groups: lines.map(({ category, rates }) => ({
      name: category,
      values: bars.map((bar) => rates[bar]?.median),
    })),
  };
  return chartSvg(chart);
}
