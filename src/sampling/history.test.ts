import fc from "fast-check";
import { expect, it } from "vitest";
import { History } from "./history.ts";

it("counts what was generated, whenever it is asked", () => {
  const long = Array.from({ length: 200 }, (_, i) => 7 * (i % 130));
  const move = fc.oneof(fc.nat(4), fc.constant("look"), fc.constant("cut"));
  fc.assert(
    fc.property(
      fc.oneof(fc.array(fc.nat(4), { minLength: 1, maxLength: 5 }), fc.constant(long)),
      fc.array(move, { maxLength: 30 }),
      (prompt, moves) => {
        const history = new History(prompt);
        const text = [...prompt];
        for (const move of moves) {
          if (typeof move === "number") {
            history.push(move);
            text.push(move);
          } else if (move === "cut") {
            text.length = Math.max(prompt.length, text.length - 2);
            history.truncate(text.length);
          }
          expect(history.tokens).toEqual(text);
          if (move !== "look") continue;
          const counts = new Map(prompt.map((token) => [token, 0]));
          for (const token of text.slice(prompt.length)) counts.set(token, (counts.get(token) ?? 0) + 1);
          const { size, tokens, generated } = history.counts;
          const pairs = Array.from({ length: size }, (_, i) => [tokens[i]!, generated[i]!] as const);
          expect(pairs.length).toBe(counts.size);
          expect(new Map(pairs)).toEqual(counts);
        }
      },
    ),
  );
});
