/** @file Tests that nothing but text reaches the terminal. */

import fc from "fast-check";
import stringWidth from "string-width";
import { expect, test } from "vitest";
import { bytesAsText, clipped, clippedBefore, fitted, visible, visibleToken } from "./visible.ts";

test("what is no character is an escape; what is one stays", () => {
  expect(visible("a\n\tb\r\\")).toBe("a\\n\\tb\\r\\\\");
  expect(visible("\x1b[31m\x07\x7f\x9b2J")).toBe("\\u{1b}[31m\\u{7}\\u{7f}\\u{9b}2J");
  expect(visible("a\u202eb\u200d\u2028\u00a0\ufeff\ud800")).toBe(
    "a\\u{202e}b\\u{200d}\\u{2028}\\u{a0}\\u{feff}\\u{d800}",
  );
  expect(visible("naïve 木 😀 e\u0301")).toBe("naïve 木 😀 e\u0301");
  expect([visibleToken("  a b "), visibleToken(" "), visibleToken("")]).toEqual(["␣␣a b␣", "␣", ""]);
});

const anything = fc.string({
  unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
});

test("property: no control, format or lone surrogate is left, whatever the text", () => {
  fc.assert(
    fc.property(fc.oneof(anything, fc.string({ unit: "binary" })), (text) => {
      for (const shown of [visible(text), visibleToken(text), clipped(visible(text), 9)])
        expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    }),
  );
});

test("property: what is clipped fits, and what fits is not clipped", () => {
  const text = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.string({ unit: fc.constantFrom("木", "a", "\u0301") }),
  );
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 30 }), (text, width) => {
      const shown = visible(text);
      for (const [cut, sign] of [
        [clipped(shown, width), -1],
        [clippedBefore(shown, width), 0],
      ] as const) {
        expect(stringWidth(cut)).toBeLessThanOrEqual(width);
        if (stringWidth(shown) <= width && shown.length <= 4 * width) expect(cut).toBe(shown);
        else expect(cut.at(sign)).toBe("…");
      }
    }),
  );
  expect([clipped("abcdef", 4), clippedBefore("abcdef", 4), clipped("木木木", 4)]).toEqual([
    "abc…",
    "…def",
    "木…",
  ]);
});

test("a line with colours loses what does not fit, and its colour ends", () => {
  expect(fitted("abc", 3)).toBe("abc");
  expect(fitted("\x1b[31mabc def\x1b[39m", 5)).toBe("\x1b[31mabc d\x1b[39m");
});

test("bytes that are no UTF-8 are in hex, the others text", () => {
  const bytes = (...values: number[]) => bytesAsText(Uint8Array.from(values));
  expect(bytes(0xc3)).toBe("<0xC3>");
  expect(bytes(0x61, 0xc3, 0xa9, 0x62)).toBe("aéb");
  expect(bytes(0xa9, 0x20, 0xe6, 0x9c)).toBe("<0xA9> <0xE6><0x9C>");
  expect(bytes(0xf0, 0x9f, 0x98, 0x80, 0x0a)).toBe("😀\n");
  expect(bytes()).toBe("");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(bytesAsText(new TextEncoder().encode(text))).toBe(text);
    }),
  );
});
