/** @file Tests of the picture of a step: its places, its bytes, and that any text leaves it well-formed. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { someTrace, traceStep } from "../../../test/trace.ts";
import { placesOf } from "./svg-layout.ts";
import { treeSvg } from "./tree-svg.ts";

/** Throws unless all tags are closed in order and text holds no markup. */
function wellFormed(svg: string): string[] {
  const open: string[] = [];
  const names: string[] = [];
  const token = /<(\/?)([a-z]+)((?: [a-zA-Z:-]+="[^"<>]*")*)(\/?)>|[^<>&]+|&(?:amp|lt|gt|quot);/gy;
  let end = 0;
  for (const [whole, close, name, , empty] of svg.matchAll(token)) {
    end += whole.length;
    if (name === undefined) continue;
    if (close) expect(open.pop()).toBe(name);
    else names.push(name);
    if (!close && !empty) open.push(name);
  }
  expect(svg.slice(end, end + 40)).toBe("");
  expect(open).toEqual([]);
  return names;
}

test("a box for every node and the bonus token, an edge between them, and what is said of each", () => {
  const svg = treeSvg(someTrace(), 0);
  const names = wellFormed(svg);
  expect(names.filter((name) => name === "g")).toHaveLength(6);
  expect(names.filter((name) => name === "path")).toHaveLength(5);
  expect(svg.match(/class="edge kept"/g)).toHaveLength(3);
  expect(svg.match(/class="yes d0"/g)).toHaveLength(2);
  expect(svg.match(/class="no"/g)).toHaveLength(2);
  expect(svg).toContain("<title>step 1 of 1: 3 tokens, 2 guessed; 2.51 expected</title>");
  expect(svg).toContain('0.75 <tspan class="d0">E</tspan><tspan class="d1">R</tspan>');
  expect(svg).toContain('<tspan class="d1">R retrieval</tspan>');
  expect(treeSvg(someTrace(), 0)).toBe(svg);
});

test("the accepted path is the first row, and no two nodes share a place", () => {
  const children = [[1, 2], [3, 4], [5], [6], [], [], []];
  const places = placesOf(children, 3);
  expect([0, 1, 3].map((node) => places[node])).toEqual([0, 1, 2].map((depth) => ({ depth, row: 0 })));
  // Behind the end of the path stands the bonus token, so what was rejected there begins a row.
  expect(places[6]).toEqual({ depth: 3, row: 1 });
  expect(places[5]).toEqual({ depth: 2, row: places[2]!.row });
  const seen = new Set(places.map(({ depth, row }) => `${depth} ${row}`));
  expect(seen.size).toBe(children.length);
});

test("property: any text, any tree", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.array(fc.nat(30), { maxLength: 30 }), (text, ups) => {
      const parents = [-1, ...ups.map((up, i) => Math.max(0, i - up))];
      const step = traceStep(parents, { sources: parents.map((_, node) => node % 4) });
      const strange = Object.fromEntries([5, 30, ...step.tokens].map((token) => [token, text]));
      const trace = { ...someTrace({ steps: [step] }, strange), drafters: [text, "b"] };
      const svg = treeSvg(trace, 0);
      wellFormed(svg);
      expect(svg.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
    }),
  );
});
