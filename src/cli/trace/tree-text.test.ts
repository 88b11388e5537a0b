/** @file Tests of trees as text: what a reader sees, that it fits, and that nothing in a file can steer the terminal. */

import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import stringWidth from "string-width";
import { expect, test } from "vitest";
import { someTrace, traceStep, withoutColors } from "../../../test/trace.ts";
import { Pen } from "./pen.ts";
import { treeLegend, treeText } from "./tree-text.ts";

const plain = new Pen(["eagle", "retrieval"], false);
const colored = new Pen(["eagle", "retrieval"], true);

test("the accepted path goes down, with what was rejected below each node", () => {
  const text = treeText(someTrace(), 0, plain, 80);
  expect(text).toBe(
    [
      "step 1 of 1: 3 tokens, 2 guessed; 2.51 expected",
      "drafted · nodes cost 0.050 tokens · 5 of 5 nodes kept",
      "4.00 ms: pass 3.00, drafters 0.50, structure 0.25, rest 0.25",
      " t5 t10 t11 t13 t30",
      "○ ␣t10",
      "┃ └─ ␣t12  0.20  R",
      "● ␣t11     0.75 ER",
      "● ␣t13     0.50 E",
      "┃ └─ ␣t14  0.50 E",
      "◆ ␣t30",
    ].join("\n"),
  );
});

test("branches below rejected nodes, likeliest first", () => {
  const step = traceStep([-1, 0, 0, 2, 2, 3, 1], { probs: [1, 0.3, 0.4, 0.1, 0.6, 0.5, 0.9] });
  expect(
    treeText(someTrace({ steps: [step] }), 0, plain, 80)
      .split("\n")
      .slice(4),
  ).toEqual([
    "○ ␣t10",
    "┃ ├─ ␣t12        0.40 E",
    "┃ │  ├─ ␣t14     0.60 E",
    "┃ │  └─ ␣t13     0.10 E",
    "┃ │     └─ ␣t15  0.50 E",
    "┃ └─ ␣t11        0.30 E",
    "┃    └─ ␣t16     0.90 E",
    "◆ ␣t30",
  ]);
});

test("with colours: accepted bold, rejected dim, letters in the drafters' colours, and the same text", () => {
  const text = treeText(someTrace(), 0, colored, 80);
  expect(text).toContain("\x1b[1m● ␣t11\x1b[22m");
  expect(text).toContain("\x1b[2m┃ └─ ␣t12\x1b[22m");
  expect(text).toContain("\x1b[32mE\x1b[39m\x1b[36mR\x1b[39m");
  expect(stripVTControlCharacters(text)).toBe(treeText(someTrace(), 0, plain, 80));
  expect(treeLegend(colored, 80)).toContain("\x1b[36mR retrieval\x1b[39m");
  expect(treeLegend(new Pen([], false), 80)).not.toContain("\n");
});

test("what the planner said", () => {
  const off = "off: drafts gave 0.93 tokens in the time of a plain one";
  const steps = [
    traceStep([-1], { kind: "plain", off, grown: 1 }),
    traceStep([-1, 0], { trial: true, grown: 9, nodePrice: null }),
  ];
  const trace = someTrace({ steps });
  expect(treeText(trace, 0, plain, 100)).toContain(`plain · ${off} · nodes cost 0.050 tokens`);
  expect(treeText(trace, 1, plain, 80)).toContain("drafted · a trial · 2 of 9 nodes kept");
});

test("where the text ended inside of a path, only what is in it counts", () => {
  expect(treeText(someTrace({ tokens: [11] }), 0, plain, 80)).toContain("1 token, 1 guessed");
  expect(treeText(someTrace({ tokens: [] }), 0, plain, 80)).toContain("0 tokens, 0 guessed");
});

test("property: lines fit, whatever the tree and the texts; only colours are escapes", () => {
  const tree = fc.array(fc.record({ up: fc.nat(3), prob: fc.double({ min: 0, max: 1, noNaN: true }) }), {
    maxLength: 60,
  });
  const texts = fc.string({ unit: "binary", maxLength: 50 });
  fc.assert(
    fc.property(tree, texts, fc.integer({ min: 24, max: 120 }), (nodes, text, width) => {
      const parents = [-1, ...nodes.map(({ up }, i) => Math.max(0, i - up))];
      const path = [0];
      for (let node = 1; node < parents.length; node++) if (parents[node] === path.at(-1)) path.push(node);
      const step = traceStep(parents, { probs: [1, ...nodes.map(({ prob }) => prob)], path });
      const strange = Object.fromEntries(step.tokens.map((token) => [token, text]));
      const shown = treeText(
        someTrace({ steps: [step] }, { 5: text, 30: text, ...strange }),
        0,
        colored,
        width,
      );
      for (const line of shown.split("\n")) expect(stringWidth(line)).toBeLessThanOrEqual(width);
      expect(withoutColors(shown).replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
    }),
  );
});

test("a path of thousands of nodes is drawn", () => {
  const deep = Array.from({ length: 4096 }, (_, node) => node - 1);
  const rejected = treeText(someTrace({ steps: [traceStep(deep)] }), 0, plain, 60).split("\n");
  expect(rejected).toHaveLength(4 + 4097);
  expect(Math.max(...rejected.map((line) => stringWidth(line)))).toBeLessThanOrEqual(60);
  expect(rejected.at(-2)).toContain("└─ ␣t4105");
});
