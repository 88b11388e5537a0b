/** @file The methods by name. Some take a number or a word behind theirs: `chain:3`, `eesd:beta-ts`. */

import { adaeagle } from "./adaeagle.ts";
import { auto } from "./auto.ts";
import { chain, ddd } from "./chain.ts";
import { draftModel } from "./draft-model.ts";
import { eagle } from "./eagle.ts";
import { eagle2 } from "./eagle-2.ts";
import { eesd, eesdWords } from "./eesd.ts";
import { learningChain } from "./learning-rules.ts";
import type { Method, MethodOptions } from "./method.ts";
import { optTree } from "./opt-tree.ts";
import { plain } from "./plain.ts";
import { promptLookup } from "./prompt-lookup.ts";
import { rasd } from "./rasd.ts";
import { recycleLookup } from "./recycle-lookup.ts";
import { retrieval } from "./retrieval.ts";
import { tokenRecycling } from "./token-recycling.ts";

interface Entry {
  readonly make: (options: MethodOptions, number?: number, word?: string) => Method;
  /** What the model must have been loaded with. */
  readonly needs?: keyof typeof NEEDS;
  /** What the number behind the name says, from 0 to `most`, and words that may stand in its place. */
  readonly takes?: {
    readonly what: string;
    readonly most: number;
    readonly whole?: boolean;
    readonly words?: readonly string[];
  };
}

const DRAFT_MODEL = "a draft model: give draftModel to loadModel, or --draft-model to the command";
const HEAD = "a draft head: give head to loadModel, or --head to the command";

/** Whether it is there, and how to load a model with it. */
const NEEDS = {
  draftModel: { has: ({ draftModel }: MethodOptions) => draftModel !== undefined, how: DRAFT_MODEL },
  head: { has: ({ head }: MethodOptions) => head !== undefined, how: HEAD },
  exit: {
    has: ({ exit }: MethodOptions) => exit !== undefined,
    how: "an exit block: give exit to loadModel, or --exit to the command",
  },
  drafting: {
    has: ({ draftModel, head }: MethodOptions) => (draftModel ?? head) !== undefined,
    how: `${HEAD}; or ${DRAFT_MODEL}`,
  },
  lengths: {
    has: ({ lengths }: MethodOptions) => lengths !== undefined,
    how: "a length predictor: give ldlp to loadModel, or --ldlp to the command",
  },
} as const;

const LENGTH = { what: "a length in tokens", most: 64, whole: true };
const LOGARITHM = { what: "minus the logarithm of a probability", most: 20 };

const METHODS: Readonly<Record<string, Entry>> = {
  plain: { make: plain },
  auto: { make: auto },
  "token-recycling": { make: tokenRecycling },
  "prompt-lookup": { make: promptLookup },
  "recycle-lookup": { make: recycleLookup },
  retrieval: { make: retrieval },
  "draft-model": { make: draftModel, needs: "draftModel" },
  eagle: { make: eagle, needs: "head" },
  "opt-tree": { make: optTree, needs: "drafting", takes: { what: "delta", most: 1 } },
  "eagle-2": { make: eagle2, needs: "drafting" },
  chain: { make: chain, needs: "drafting", takes: LENGTH },
  ddd: { make: ddd, needs: "drafting", takes: LOGARITHM },
  "beta-ts": { make: learningChain("beta-ts"), needs: "drafting" },
  "calibration-ts": { make: learningChain("calibration-ts"), needs: "drafting" },
  "cost-aware": { make: learningChain("cost-aware"), needs: "drafting" },
  eesd: { make: eesd, needs: "exit", takes: { ...LENGTH, words: eesdWords } },
  rasd: { make: rasd, needs: "drafting", takes: { what: "a number of first tokens", most: 16, whole: true } },
  adaeagle: { make: adaeagle, needs: "lengths", takes: LOGARITHM },
};

/** The method of requests that name none. */
export const defaultMethod = "auto";

/** The names of all methods. Those that draft with a model are for models that were loaded with one. */
export function methodNames(): string[] {
  return Object.keys(METHODS);
}

/** The names of the methods that work with what there is. */
export function usableMethods(options: MethodOptions): string[] {
  return methodNames().filter((name) => isUsable(METHODS[name]!, options));
}

/** A new method with nothing learnt. Throws RangeError for a name that is not known, or without what the method needs. */
export function createMethod(name: string, options: MethodOptions): Method {
  const { entry, number, word } = parseMethod(name);
  if (!isUsable(entry, options)) throw new RangeError(`method ${name} needs ${NEEDS[entry.needs!].how}`);
  return { ...entry.make(options, number, word), name };
}

/** Reads `name`, `name:number` or `name:word`. Throws RangeError when there is no such method, or it takes no such thing. */
export function parseMethod(name: string): {
  readonly entry: Entry;
  readonly number?: number;
  readonly word?: string;
} {
  const [base = "", text] = name.split(/:(.*)/s);
  const entry = Object.hasOwn(METHODS, base) ? METHODS[base] : undefined;
  if (entry === undefined) {
    throw new RangeError(`method is "${name}"; the methods are ${methodNames().join(", ")}`);
  }
  if (text === undefined) return { entry };
  const { takes } = entry;
  if (takes === undefined) throw new RangeError(`method is "${name}"; ${base} takes no number`);
  if (takes.words?.includes(text)) return { entry, word: text };
  const number = text.trim() === "" ? Number.NaN : Number(text);
  if (!(number >= 0 && number <= takes.most) || (takes.whole && !Number.isInteger(number))) {
    const kind = takes.whole ? "a whole number" : "a number";
    const words = takes.words ? `, or ${takes.words.join(", ")}` : "";
    throw new RangeError(
      `method is "${name}"; behind ${base}: goes ${takes.what}, ${kind} from 0 to ${takes.most}${words}`,
    );
  }
  return { entry, number };
}

function isUsable({ needs }: Entry, options: MethodOptions): boolean {
  return needs === undefined || NEEDS[needs].has(options);
}
