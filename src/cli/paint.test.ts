/** @file Tests of the colours by drafter. */

import { describe, expect, test } from "vitest";
import { Painter } from "./paint.ts";

const piece = (text: string, ...drafters: string[]) => ({ token: 1, text, drafters });

describe("Painter", () => {
  test("paints what was guessed in the colour of its first drafter", () => {
    const painter = new Painter(true);
    const text = painter.text([
      piece("a"),
      piece("b", "recycle"),
      piece("c", "lookup", "recycle"),
      piece("", "lookup"),
    ]);
    expect(text).toBe("a\x1b[32mb\x1b[39m\x1b[36mc\x1b[39m");
    expect(painter.legend()).toBe("\x1b[32mrecycle 1\x1b[39m · \x1b[36mlookup 2\x1b[39m · target 1");
  });

  test("keeps colours and forgets counts from answer to answer", () => {
    const painter = new Painter(true);
    painter.text([piece("a", "recycle")]);
    painter.begin();
    expect(painter.text([piece("b", "lookup")])).toBe("\x1b[36mb\x1b[39m");
    expect(painter.legend()).toBe("\x1b[36mlookup 1\x1b[39m · target 0");
  });

  test("without colours leaves the text alone and still counts", () => {
    const painter = new Painter(false);
    expect(painter.text([piece("a"), piece("b", "recycle")])).toBe("ab");
    expect(painter.legend()).toBe("recycle 1 · target 1");
  });
});
