/** @file A bar chart as SVG: groups of bars with their figures, readable on a light and on a dark page. The same figures give the same bytes. */

export interface Chart {
  readonly title: string;
  readonly subtitle: string;
  /** Of the bars of a group, in order; at most as many as there are colours. */
  readonly series: readonly string[];
  /** `values` by series; undefined leaves a bar out. */
  readonly groups: readonly { readonly name: string; readonly values: readonly (number | undefined)[] }[];
}

const COLORS = ["#8a94a6", "#3d8bd4", "#e07b39", "#4fa36b"];
const [WIDTH, MARGIN, TOP, PLOT, BOTTOM] = [960, 24, 84, 300, 52];
/** Part of a group's width that is left empty between groups. */
const GAP = 0.16;

export function chartSvg({ title, subtitle, series, groups }: Chart): string {
  if (series.length > COLORS.length)
    throw new RangeError(`a chart has at most ${COLORS.length} series; ${series.length} given`);
  const most = Math.max(1e-9, ...groups.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const height = TOP + PLOT + BOTTOM;
  const base = TOP + PLOT;
  const groupWidth = (WIDTH - 2 * MARGIN) / Math.max(1, groups.length);
  const barWidth = (groupWidth * (1 - GAP)) / series.length;
  const bars = groups.flatMap(({ name, values }, at) => {
    const left = MARGIN + at * groupWidth;
    return [
      ...values.flatMap((value, bar) => {
        if (value === undefined) return [];
        const x = left + (groupWidth * GAP) / 2 + bar * barWidth;
        const tall = (value / most) * PLOT;
        return [
          `<rect x="${n(x + 1)}" y="${n(base - tall)}" width="${n(barWidth - 2)}" height="${n(tall)}" rx="2" fill="${COLORS[bar]}"><title>${escaped(`${name}, ${series[bar]}: ${value.toFixed(1)}`)}</title></rect>`,
          `<text class="figure" x="${n(x + barWidth / 2)}" y="${n(base - tall - 5)}">${value.toFixed(0)}</text>`,
        ];
      }),
      `<text class="group" x="${n(left + groupWidth / 2)}" y="${n(base + 20)}">${escaped(name)}</text>`,
    ];
  });
  let x = MARGIN;
  const legend = series.flatMap((name, at) => {
    const swatch = `<rect x="${n(x)}" y="60" width="12" height="12" rx="2" fill="${COLORS[at]}"/>`;
    const label = `<text class="legend" x="${n(x + 18)}" y="70">${escaped(name)}</text>`;
    x += 18 + 7 * name.length + 24;
    return [swatch, label];
  });
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="chart-title">`,
    `<title id="chart-title">${escaped(title)}</title>`,
    "<style>",
    "text { font-family: system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328; font-size: 12px }",
    ".title { font-size: 16px; font-weight: 600 } .figure { font-size: 11px } .figure, .group { text-anchor: middle }",
    "line { stroke: #8a94a6 }",
    "@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }",
    "</style>",
    `<text class="title" x="${MARGIN}" y="24">${escaped(title)}</text>`,
    `<text class="subtitle" x="${MARGIN}" y="44">${escaped(subtitle)}</text>`,
    ...legend,
    ...bars,
    `<line x1="${MARGIN}" y1="${base}" x2="${WIDTH - MARGIN}" y2="${base}"/>`,
    "</svg>",
  ].join("\n")}\n`;
}

/** Coordinates with at most one figure behind the point. */
function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
