/**
 * @file A step's tree as a picture: the accepted path along the top, what was guessed in its place below. The same step gives the same
 * bytes. It brings its own ground and colours for light and dark, and needs nothing from outside.
 */

import stringWidth from "string-width";
import type { Trace, TraceStep } from "./format.ts";
import { lettersOf } from "./pen.ts";
import { childrenOf, contextOf, textsOf, titleOf } from "./step-text.ts";
import { placesOf } from "./svg-layout.ts";
import { clipped, clippedBefore, visible, visibleToken } from "./visible.ts";

const MARGIN = 20;
const HEAD = 66;
const FOOT = 34;
/** The least width, as of the texts above a tree. */
const LEAST = 600;
/** Widths of characters: of labels, of the legend, and of notes. */
const CHARACTER = 8;
const MIDDLING = 7;
const SMALL = 6;
const BOX = { height: 38, padding: 9, gapX: 26, gapY: 10 };
/** Longest texts, in characters. */
const LABEL = 18;
const NAME = 20;
/** Colours of drafters by their place, as on the terminal. */
const LIGHT = ["#1a7f37", "#0e7490", "#9a6700", "#8250df", "#0969da", "#cf222e"];
const DARK = ["#3fb950", "#39c5cf", "#d29922", "#bc8cff", "#58a6ff", "#ff7b72"];

interface Box {
  readonly label: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly note: string;
  readonly look: string;
}

/** The picture of step `index`, from 0. */
export function treeSvg(trace: Trace, index: number): string {
  const step = trace.steps[index]!;
  const { boxes, edges, width, height } = layOut(trace, step);
  const letters = lettersOf(trace.drafters);
  const names = trace.drafters.map((name, i) => `${letters[i]} ${clipped(visible(name), NAME)}`);
  const signs = ["bold: accepted", "◆ the model's own token", "0.50: probability"];
  const legend = [
    ...names.map((name, i) => `<tspan class="d${i % LIGHT.length}">${escaped(name)}</tspan>`),
    ...signs,
  ].join(" · ");
  const inner = Math.max(width, LEAST, stringWidth([...names, ...signs].join(" · ")) * MIDDLING);
  const wide = inner + 2 * MARGIN;
  const columns = Math.floor(inner / CHARACTER);
  const context = contextOf(trace, step);
  const given = clipped(context.given, Math.floor((columns * 2) / 3));
  const before = clippedBefore(context.before, columns - stringWidth(given));
  const title = titleOf(trace, index);
  const bottom = HEAD + height + FOOT;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${wide} ${bottom}" width="${wide}" height="${bottom}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${styles()}</style>`,
    `<rect class="ground" x="0.5" y="0.5" width="${wide - 1}" height="${bottom - 1}" rx="8"/>`,
    `<text class="title" x="${MARGIN}" y="28">${escaped(title)}</text>`,
    `<text x="${MARGIN}" y="50" xml:space="preserve"><tspan class="dim">${escaped(before)}</tspan><tspan class="bold">${escaped(given)}</tspan></text>`,
    ...edges,
    ...boxes.map(drawn),
    `<text class="small" x="${MARGIN}" y="${bottom - 14}">${legend}</text>`,
    "</svg>",
  ].join("\n")}\n`;
}

function layOut(trace: Trace, step: TraceStep) {
  const { tokens, parents, probs, sources, path, bonus } = step;
  const textOf = textsOf(trace);
  const letters = lettersOf(trace.drafters);
  const accepted = new Set(path);
  const end = path.at(-1)!;
  const places = placesOf(childrenOf(step), end);
  const labels = [...tokens, bonus].map((token) => clipped(visibleToken(textOf(token)), LABEL));
  const all = [...places, { depth: places[end]!.depth + 1, row: 0 }];
  const notes = [
    ...probs.map((prob, node) => (node === 0 ? "" : noteOf(prob, sources[node]!, letters))),
    "◆",
  ];
  const widths = labels.map((label, node) => {
    const marks = letters.filter((_, i) => (sources[node] ?? 0) & (1 << i)).length;
    const text = Math.max(stringWidth(label) * CHARACTER, ("0.50 ".length + marks) * SMALL);
    return text + 2 * BOX.padding;
  });
  const starts = [MARGIN];
  for (const [node, { depth }] of all.entries())
    starts[depth + 1] = Math.max(starts[depth + 1] ?? 0, widths[node]!);
  for (let depth = 1; depth < starts.length; depth++)
    starts[depth] = starts[depth]! + starts[depth - 1]! + BOX.gapX;
  const boxes = all.map(({ depth, row }, node): Box => {
    const own = node === tokens.length;
    const first = own || node === 0 ? -1 : firstOf(sources[node]!);
    const look = own
      ? "own"
      : node === 0
        ? "root"
        : accepted.has(node)
          ? `yes d${first % LIGHT.length}`
          : "no";
    return {
      ...{ label: labels[node]!, note: notes[node]!, look },
      ...{ x: starts[depth]!, y: HEAD + row * (BOX.height + BOX.gapY), width: widths[node]! },
    };
  });
  // Those of the accepted path come last, over the others.
  const kept = (node: number) => node === tokens.length || accepted.has(node);
  const edges = [false, true].flatMap((wanted) =>
    boxes.flatMap((box, node) => {
      if (node === 0 || kept(node) !== wanted) return [];
      return [edge(boxes[node === tokens.length ? end : parents[node]!]!, box, wanted)];
    }),
  );
  const rows = all.reduce((most, { row }) => Math.max(most, row), 0) + 1;
  return {
    ...{ boxes, edges },
    width: boxes.reduce((most, { x, width }) => Math.max(most, x + width), 0) - MARGIN,
    height: rows * (BOX.height + BOX.gapY),
  };
}

function edge(from: Box, to: Box, kept: boolean): string {
  const [x, y] = [from.x + from.width, from.y + BOX.height / 2];
  const middle = to.x - BOX.gapX / 2;
  const end = to.y + BOX.height / 2;
  return `<path class="${kept ? "edge kept" : "edge"}" d="M${x} ${y}H${middle - 6}C${middle} ${y} ${middle} ${end} ${to.x} ${end}"/>`;
}

function drawn({ label, x, y, width, note, look }: Box): string {
  const middle = x + width / 2;
  return [
    `<g class="${look}"><rect class="box" x="${x}" y="${y}" width="${width}" height="${BOX.height}" rx="6"/>`,
    `<text class="label" x="${middle}" y="${y + (note === "" ? 23 : 17)}">${escaped(label)}</text>`,
    note === "" ? "" : `<text class="note" x="${middle}" y="${y + 31}">${note}</text>`,
    "</g>",
  ].join("");
}

function noteOf(prob: number, sources: number, letters: readonly string[]): string {
  const marks = letters.map((letter, i) =>
    sources & (1 << i) ? `<tspan class="d${i % LIGHT.length}">${letter}</tspan>` : "",
  );
  return `${prob.toFixed(2)} ${marks.join("")}`;
}

/** The first drafter of a bit set; the first one where a file names none. */
function firstOf(sources: number): number {
  return sources === 0 ? 0 : 31 - Math.clz32(sources & -sources);
}

function styles(): string {
  const colors = (list: readonly string[]) =>
    list.map((color, i) => `tspan.d${i}{fill:${color}}.d${i} .box{stroke:${color}}`).join("");
  return [
    "text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2328}",
    ".title,.bold,.yes .label,.own .label{font-weight:700}.label,.note{text-anchor:middle}",
    ".small,.note{font-size:10px}.small{font-size:11px}",
    ".ground{fill:#fff;stroke:#d1d9e0}.box{fill:#f6f8fa;stroke:#59636e}.yes .box,.own .box{stroke-width:2}",
    ".no .box{fill:none;stroke:#d1d9e0}.dim,.no .label,.no .note,.small{fill:#59636e}",
    ".edge{fill:none;stroke:#d1d9e0}.kept{stroke:#59636e;stroke-width:2.5}",
    colors(LIGHT),
    "@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.ground{fill:#0d1117;stroke:#3d444d}",
    ".box{fill:#151b23;stroke:#9198a1}.no .box{fill:none;stroke:#3d444d}.edge{stroke:#3d444d}.kept{stroke:#9198a1}",
    `.dim,.no .label,.no .note,.small{fill:#9198a1}${colors(DARK)}}`,
  ].join("");
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
