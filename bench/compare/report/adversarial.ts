/** @file Texts that no drafter can know, from a seed: what a method loses when there is nothing to guess. */

export type Random = () => number;

/** Numbers in [0, 1), the same for the same seed (a 32-bit linear congruential generator, of which the high bits count). */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function pick<T>(items: ArrayLike<T>, random: Random): T {
  return items[Math.floor(random() * items.length)]!;
}

/** Words of a language that there is not: syllables in Georgian letters, which small models have hardly seen, and few punctuation marks. */
function unknownWord(random: Random): string {
  const syllables = Array.from(
    { length: 1 + Math.floor(3 * random()) },
    () => pick("ბგდვზთკლმნპჟრსტფქღყშჩცძწჭხჯჰ", random) + pick("აეიოუ", random),
  );
  return syllables.join("") + (random() < 0.1 ? pick(",.", random) : "");
}

const TEXTS: Readonly<Record<string, (length: number, random: Random) => string>> = {
  hexadecimal: (length, random) => Array.from({ length }, () => pick("0123456789abcdef", random)).join(""),
  "unknown-language": (length, random) => Array.from({ length }, () => unknownWord(random)).join(" "),
};

export const ADVERSARIAL = ["random-tokens", ...Object.keys(TEXTS)];

/**
 * A prompt of `length` tokens of one of the kinds in {@link ADVERSARIAL}. `vocabulary`: tokens that stand for text; `encode`: text to tokens.
 */
export async function adversarialPrompt(
  kind: string,
  length: number,
  seed: number,
  model: {
    readonly vocabulary: readonly number[];
    readonly encode: (text: string) => Promise<readonly number[]>;
  },
): Promise<number[]> {
  const random = randomFrom(seed);
  if (kind === "random-tokens") return Array.from({ length }, () => pick(model.vocabulary, random));
  const text = TEXTS[kind];
  if (text === undefined)
    throw new RangeError(`no adversarial prompts of kind ${kind}; the kinds are ${ADVERSARIAL.join(", ")}`);
  const tokens = [];
  while (tokens.length < length) tokens.push(...(await model.encode(text(length, random))));
  return tokens.slice(0, length);
}
