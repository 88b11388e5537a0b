/** @file The options that `bench:compare` and `bench:never-slower` share, and the readers of their values. */

export const shared = {
  methods: { type: "string" },
  head: { type: "string" },
  exit: { type: "string" },
  threads: { type: "string", default: "2" },
  weights: { type: "string", default: "file" },
  data: { type: "string" },
  categories: { type: "string" },
  seed: { type: "string", default: "1" },
  minutes: { type: "string" },
  featured: { type: "string" },
  busy: { type: "string", default: "100" },
  "warm-up": { type: "string", default: "0" },
  out: { type: "string" },
  render: { type: "string" },
};

export function listOf(name, value) {
  const items = value.split(",").map((item) => item.trim());
  if (items.every((item) => item !== "") && new Set(items).size === items.length) return items;
  throw new RangeError(`--${name} is ${value}; give a list such as a,b, nothing empty and nothing twice`);
}

export function countOf(name, value, least = 1) {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= least && Number.isSafeInteger(number)) return number;
  throw new RangeError(`--${name} is ${value}; give a whole number of at least ${least}`);
}

export function numbersOf(name, value, read = countOf) {
  return listOf(name, value).map((item) => read(name, item));
}

export function decimalOf(name, value) {
  const number = Number(value);
  if (value.trim() !== "" && number >= 0 && number <= 100) return number;
  throw new RangeError(`--${name} is ${value}; give a number from 0 to 100`);
}

/** `1-3` as [1, 3]. */
export function rangeOf(name, value, least) {
  const match = /^(\d+)-(\d+)$/.exec(value);
  const range = match?.slice(1).map(Number);
  if (range && least <= range[0] && range[0] <= range[1]) return range;
  throw new RangeError(`--${name} is ${value}; give the least and the most, such as 1-3, from ${least} on`);
}

export function oneOf(name, value, choices) {
  if (choices.includes(value)) return value;
  throw new RangeError(`--${name} is ${value}; give one of ${choices.join(", ")}`);
}

/** What the values of {@link shared} come to. */
export function readShared(values) {
  const { methods, categories, minutes } = values;
  return {
    ...values,
    methods: methods === undefined ? undefined : methods === "all" ? "all" : listOf("methods", methods),
    categories: categories === undefined ? undefined : listOf("categories", categories),
    threads: countOf("threads", values.threads),
    seed: countOf("seed", values.seed, 0),
    warmUpMs: 1000 * countOf("warm-up", values["warm-up"], 0),
    busy: decimalOf("busy", values.busy) / 100,
    minutes: minutes === undefined ? Number.POSITIVE_INFINITY : countOf("minutes", minutes),
    weights: oneOf("weights", values.weights, ["file", "q4"]),
  };
}
