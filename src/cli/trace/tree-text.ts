/**
 * @file A step's tree as lines of text. The accepted path runs straight down, so a step that gave many tokens is a long one; below each
 * of its nodes hang those that were guessed in place of the next. Lines fit the terminal, however deep the tree is.
 */

import stringWidth from "string-width";
import type { NodeIndex, TokenId } from "../../types.ts";
import { timeOf } from "./figures.ts";
import type { Trace, TraceStep } from "./format.ts";
import type { Pen } from "./pen.ts";
import { childrenOf, contextOf, textsOf, titleOf } from "./step-text.ts";
import { clipped, clippedBefore, fitted, visible, visibleToken } from "./visible.ts";

/** Of the columns, the most that what was given takes in the line of text, and that stand before a token. */
const GIVEN = 2 / 3;
const BRANCHES = 1 / 2;
const LEAST_LABEL = 4;

interface Line {
  /** Branches of the tree before the token. */
  readonly prefix: string;
  readonly token: TokenId;
  readonly rejected: boolean;
  /** The root and the bonus token are nobody's guess. */
  readonly node?: NodeIndex;
}

/** The signs in front of tokens, and the drafters. */
export function treeLegend(pen: Pen, width: number): string {
  const signs = "○ newest · ● accepted · ├─ rejected · ◆ the target's own · 0.50 probability";
  const names = pen.letters.length === 0 ? [] : [fitted(pen.legend(), width)];
  return [pen.dim(clipped(signs, width)), ...names].join("\n");
}

/** Step `index`, from 0, in lines of at most `width` columns. */
export function treeText(trace: Trace, index: number, pen: Pen, width: number): string {
  const step = trace.steps[index]!;
  const textOf = textsOf(trace);
  const lines = linesOf(step, Math.floor(width * BRANCHES));
  // "  0.50 " and the letters of drafters.
  const right = 7 + pen.letters.length;
  const starts = lines.map(({ prefix, token }) => {
    const room = Math.max(LEAST_LABEL, width - right - stringWidth(prefix));
    return prefix + clipped(visibleToken(textOf(token)), room);
  });
  const widths = starts.map((start) => stringWidth(start));
  const left = widths.reduce((most, width) => Math.max(most, width), 0);
  const drawn = lines.map(({ rejected, node }, i) => {
    const style = (text: string) => (rejected ? pen.dim(text) : pen.bold(text));
    if (node === undefined) return style(starts[i]!);
    const prob = `${" ".repeat(left - widths[i]! + 2)}${step.probs[node]!.toFixed(2)}`;
    return `${style(starts[i]!)}${rejected ? pen.dim(prob) : prob} ${pen.marks(step.sources[node]!)}`.trimEnd();
  });
  return [...headOf(trace, index, pen, width), ...drawn].map((line) => fitted(line, width)).join("\n");
}

function headOf(trace: Trace, index: number, pen: Pen, width: number): string[] {
  const step = trace.steps[index]!;
  const parts = Object.entries(timeOf(step)).map(([part, ms]) => `${part} ${ms.toFixed(2)}`);
  const said = [
    step.kind,
    ...(step.trial ? ["a trial"] : []),
    ...(step.off === null ? [] : [visible(step.off)]),
    ...(step.nodePrice === null ? [] : [`nodes cost ${step.nodePrice.toFixed(3)} tokens`]),
    `${step.tokens.length} of ${step.grown} nodes kept`,
  ];
  const context = contextOf(trace, step);
  const given = clipped(context.given, Math.floor(width * GIVEN));
  const before = clippedBefore(context.before, width - stringWidth(given));
  return [
    pen.bold(clipped(titleOf(trace, index), width)),
    pen.dim(clipped(said.join(" · "), width)),
    pen.dim(clipped(`${step.ms.toFixed(2)} ms: ${parts.join(", ")}`, width)),
    pen.dim(before) + pen.bold(given),
  ];
}

function linesOf(step: TraceStep, widest: number): Line[] {
  const { path, tokens, bonus } = step;
  const children = childrenOf(step);
  const lines: Line[] = [];
  for (const [i, node] of path.entries()) {
    const root = { prefix: "○ ", token: tokens[node]!, rejected: false };
    lines.push(i === 0 ? root : { ...root, prefix: "● ", node });
    const rejected = children[node]!.filter((child) => child !== path[i + 1]);
    lines.push(...branches(rejected, step, children, widest));
  }
  lines.push({ prefix: "◆ ", token: bonus, rejected: false });
  return lines;
}

/** Lines of `roots` and of all below them. */
function branches(
  roots: readonly NodeIndex[],
  { tokens }: TraceStep,
  children: readonly (readonly NodeIndex[])[],
  widest: number,
): Line[] {
  const lines: Line[] = [];
  const last = (nodes: readonly NodeIndex[], before: string) =>
    nodes.map((node, i) => ({ node, before, last: i === nodes.length - 1 })).reverse();
  const waiting = last(roots, "┃ ");
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { node, before } = next;
    const prefix = shortened(`${before}${next.last ? "└─ " : "├─ "}`, widest);
    lines.push({ prefix, token: tokens[node]!, rejected: true, node });
    waiting.push(...last(children[node]!, shortened(`${before}${next.last ? "   " : "│  "}`, widest)));
  }
  return lines;
}

/** The end of `prefix`, behind a sign for what is left out, when it is longer than `widest`. */
function shortened(prefix: string, widest: number): string {
  return prefix.length <= widest ? prefix : `┃…${prefix.slice(prefix.length - widest + 2)}`;
}
