/**
 * @file The claim of the project as a property: whatever the method, budget, sampling and stops are, the ids are those of
 * plain decoding. Runs on any model, so that the same test guards the toy target and the engine.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Drafter, pickedAt } from "../src/draft/drafter.ts";
import { History } from "../src/sampling/history.ts";
import { samplingSettings } from "../src/sampling/options.ts";
import { createSampler } from "../src/sampling/sampler.ts";
import type { GenerateRequest, SamplingOptions } from "../src/session/api.ts";
import { Attendance } from "../src/session/attendance.ts";
import type { Model } from "../src/session/model.ts";
import { Repeats } from "../src/session/repeats.ts";
import { step, wantOf } from "../src/session/step.ts";
import type { Structure } from "../src/structure/structure.ts";
import { Detokenizer } from "../src/text/detokenizer.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import type { TokenId } from "../src/types.ts";
import { collect } from "./toy-model.ts";

export interface LosslessOptions {
  /** Models to choose from; each is made once and used for many runs, so that methods learn. */
  readonly models: readonly (() => Promise<Model>)[];
  /** Runs of each property. */
  readonly runs: number;
  /** The most tokens of a prompt, and of a generation. */
  readonly longestPrompt: number;
  readonly longestText: number;
}

/** Methods with numbers behind their names, beside those without. */
const NUMBERED: Readonly<Record<string, readonly string[]>> = {
  "opt-tree": ["opt-tree:0", "opt-tree:0.6"],
  chain: ["chain:0", "chain:1"],
  ddd: ["ddd:0.1", "ddd:3"],
  adaeagle: ["adaeagle:0.6"],
  eesd: ["eesd:0", "eesd:3", "eesd:beta-ts", "eesd:cost-aware", "eesd:ddd", "eesd:tree"],
  rasd: ["rasd:0", "rasd:2"],
};

const sampling: fc.Arbitrary<SamplingOptions> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  fc.record(
    {
      temperature: fc.constantFrom(0, 0.3, 0.8, 1, 1.7),
      topK: fc.constantFrom(0, 1, 3, 8, 20),
      topP: fc.constantFrom(0.3, 0.9, 1),
      minP: fc.constantFrom(0, 0.05, 0.5),
      repetitionPenalty: fc.constantFrom(1, 1.3, 0.8),
      frequencyPenalty: fc.constantFrom(0, 0.7, -0.4),
      presencePenalty: fc.constantFrom(0, 1.5),
      seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    },
    { requiredKeys: [] },
  ),
  fc.record({ temperature: fc.constantFrom(0.5, 1), seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }) }),
);

export function describeLossless(name: string, options: LosslessOptions): void {
  const { runs, longestPrompt, longestText } = options;

  describe(`lossless: ${name}`, () => {
    const made = new Map<number, Promise<Model>>();
    const modelOf = (which: number): Promise<Model> => {
      const at = which % options.models.length;
      if (!made.has(at)) made.set(at, options.models[at]!());
      return made.get(at)!;
    };
    const prompts = (model: Model, seeds: readonly number[]): TokenId[] =>
      seeds.map((seed) => seed % model.vocabSize);
    const drafting = fc.record({
      method: fc.nat(),
      budget: fc.oneof(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 90 }),
        fc.constant(undefined),
      ),
    });
    /** What a drawn `drafting` means for a model, whose methods are known when it is made. */
    const draftingOf = (model: Model, { method, budget }: { method: number; budget: number | undefined }) => {
      const methods = model.methodNames.flatMap((name) => [name, ...(NUMBERED[name] ?? [])]);
      return { method: methods[method % methods.length]!, ...(budget === undefined ? {} : { budget }) };
    };
    const seeds = fc.array(fc.nat(), { minLength: 1, maxLength: longestPrompt });

    it("any method and budget gives the ids of plain decoding", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.nat(),
          seeds,
          sampling,
          drafting,
          fc.integer({ min: 1, max: longestText }),
          async (which, seeds, sampling, drafting, maxTokens) => {
            const model = await modelOf(which);
            const request = { tokens: prompts(model, seeds), maxTokens, ...sampling };
            const plain = await collect(model.generate({ ...request, method: "plain" }));
            const drafted = await collect(model.generate({ ...request, ...draftingOf(model, drafting) }));
            expect(drafted.tokens).toEqual(plain.tokens);
            expect(drafted.text).toBe(plain.text);
            expect(drafted.end.stopReason).toBe(plain.end.stopReason);
            const detokenizer = new Detokenizer(model.parts.tokenizer);
            const whole = plain.tokens.map((token) => detokenizer.push(token)).join("") + detokenizer.end();
            expect(plain.text).toBe(whole);
            expect(plain.end.stats.passes).toBeGreaterThanOrEqual(drafted.end.stats.passes);
            expect(drafted.end.stats.tokens).toBe(drafted.tokens.length);
          },
        ),
        { numRuns: runs },
      );
    });

    it("any tree whatever gives the tokens of plain decoding", async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(), seeds, sampling, fc.nat(), async (which, seeds, options, chaos) => {
          const model = await modelOf(which);
          const prompt = prompts(model, seeds);
          const settings = samplingSettings(options);
          const plain = await decode(model, prompt, settings, { grow() {} }, longestText);
          // Half the guesses are right, else long paths would never be accepted.
          const wild = wildStructure(chaos, model.vocabSize, [...prompt, ...plain]);
          expect(await decode(model, prompt, settings, wild, longestText)).toEqual(plain);
        }),
        { numRuns: runs },
      );
    });

    it("stop strings and end tokens clip at the same character and token", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.nat(),
          seeds,
          sampling,
          drafting,
          fc.array(fc.record({ at: fc.nat(), length: fc.integer({ min: 1, max: 4 }) }), {
            minLength: 1,
            maxLength: 3,
          }),
          async (which, seeds, sampling, drafting, places) => {
            const model = await modelOf(which);
            const request = { tokens: prompts(model, seeds), maxTokens: longestText, ...sampling };
            const free = await collect(model.generate({ ...request, method: "plain" }));
            const stop = places
              .map(({ at, length }) => free.text.slice(at % (free.text.length || 1)).slice(0, length))
              .filter((text) => text !== "");
            const plain = await collect(model.generate({ ...request, stop, method: "plain" }));
            const drafted = await collect(
              model.generate({ ...request, stop, ...draftingOf(model, drafting) }),
            );
            expect(drafted.tokens).toEqual(plain.tokens);
            expect(drafted.text).toBe(plain.text);
            expect(drafted.end.stopReason).toBe(plain.end.stopReason);
            expect(free.text.startsWith(drafted.text)).toBe(true);
            expect(stop.filter((text) => drafted.text.includes(text))).toEqual([]);
            if (drafted.end.stopReason === "stop-string") {
              expect(stop.some((text) => free.text.startsWith(text, drafted.text.length))).toBe(true);
            }
            expect(free.tokens.slice(0, drafted.tokens.length)).toEqual(drafted.tokens);
          },
        ),
        { numRuns: runs },
      );
    });

    it("a conversation in one cache says what fresh caches say, whatever happened to the turns before", async () => {
      const turn = fc.record({
        seeds,
        keep: fc.integer({ min: 0, max: 3 }),
        drafting,
        sampling,
        maxTokens: fc.integer({ min: 1, max: longestText }),
        leave: fc.constantFrom("no", "abort at once", "abort", "break"),
        after: fc.integer({ min: 1, max: 6 }),
      });
      await fc.assert(
        fc.asyncProperty(fc.nat(), fc.array(turn, { minLength: 2, maxLength: 4 }), async (which, turns) => {
          const model = await modelOf(which);
          const contextLength = Math.min(model.contextLength, 2 * (longestPrompt + longestText));
          await using session = await model.createSession({ contextLength });
          let text: TokenId[] = [];
          for (const { seeds, keep, drafting, sampling, maxTokens, leave, after } of turns) {
            // Goes on with some part of the text so far, or all of it.
            const kept = text.slice(0, Math.ceil((text.length * keep) / 3)).slice(0, contextLength / 2);
            const tokens = [...kept, ...prompts(model, seeds)];
            const request: GenerateRequest = { tokens, maxTokens, ...sampling };
            const plain = await collect(model.generate({ ...request, method: "plain" }));
            const fits = contextLength - tokens.length;
            const abort = new AbortController();
            if (leave === "abort at once") abort.abort();
            const said: TokenId[] = [];
            let events = 0;
            for await (const event of session.generate({
              ...request,
              ...draftingOf(model, drafting),
              signal: abort.signal,
            })) {
              if (event.type === "end") {
                expect(event.tokens).toEqual(plain.tokens.slice(0, Math.min(fits, event.tokens.length)));
                if (leave === "no" || event.stopReason !== "aborted") {
                  expect(event.tokens.length).toBe(Math.min(fits, plain.tokens.length));
                }
                said.splice(0, Infinity, ...event.tokens);
              } else {
                said.push(...event.pieces.map((piece) => piece.token));
                if (++events < after) continue;
                if (leave === "abort") abort.abort();
                if (leave === "break") break;
              }
            }
            expect(plain.tokens.slice(0, said.length)).toEqual(said);
            expect(session.cachedTokens).toBeLessThanOrEqual(tokens.length + plain.tokens.length);
            text = [...tokens, ...said];
          }
        }),
        { numRuns: runs },
      );
    });

    it("texts that run at once say what each says alone, whoever comes late, leaves or is aborted", async () => {
      const user = fc.record({
        seeds,
        drafting,
        sampling,
        maxTokens: fc.integer({ min: 1, max: longestText }),
        comes: fc.integer({ min: 0, max: 12 }),
        leave: fc.constantFrom("no", "no", "no", "abort at once", "abort", "break"),
        after: fc.integer({ min: 1, max: 6 }),
      });
      await fc.assert(
        fc.asyncProperty(fc.nat(), fc.array(user, { minLength: 2, maxLength: 8 }), async (which, users) => {
          const model = await modelOf(which);
          const requests = users.map(({ seeds, sampling, maxTokens }) => ({
            tokens: prompts(model, seeds),
            maxTokens,
            ...sampling,
          }));
          const alone: Awaited<ReturnType<typeof collect>>[] = [];
          for (const request of requests)
            alone.push(await collect(model.generate({ ...request, method: "plain" })));
          const together = users.map(async ({ drafting, comes, leave, after }, i) => {
            for (let turn = 0; turn < comes; turn++) await new Promise((resolve) => setImmediate(resolve));
            const abort = new AbortController();
            if (leave === "abort at once") abort.abort();
            const said: TokenId[] = [];
            let events = 0;
            for await (const event of model.generate({
              ...requests[i]!,
              ...draftingOf(model, drafting),
              signal: abort.signal,
            })) {
              if (event.type === "end") {
                expect(event.tokens.slice(0, said.length)).toEqual(said);
                if (event.stopReason !== "aborted") expect(event.stopReason).toBe(alone[i]!.end.stopReason);
                return { said: event.tokens, whole: event.stopReason !== "aborted" };
              }
              said.push(...event.pieces.map((piece) => piece.token));
              if (++events < after) continue;
              if (leave === "abort") abort.abort();
              if (leave === "break") break;
            }
            return { said, whole: false };
          });
          for (const [i, { said, whole }] of (await Promise.all(together)).entries()) {
            const { tokens } = alone[i]!;
            expect(said).toEqual(whole ? tokens : tokens.slice(0, said.length));
            if (users[i]!.leave === "no") expect(whole).toBe(true);
          }
        }),
        { numRuns: Math.ceil(runs / 2) },
      );
    });

    it("fills the context to its last token, drafted or not", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.nat(),
          seeds,
          sampling,
          drafting,
          fc.nat(12),
          async (which, seeds, sampling, drafting, room) => {
            const model = await modelOf(which);
            const tokens = prompts(model, seeds);
            const contextLength = tokens.length + 1 + room;
            const run = async (drafting: GenerateRequest) => {
              await using session = await model.createSession({ contextLength });
              return await collect(session.generate({ tokens, ...sampling, ...drafting }));
            };
            const plain = await run({ method: "plain" });
            const drafted = await run(draftingOf(model, drafting));
            expect(drafted.tokens).toEqual(plain.tokens);
            expect(drafted.end.stopReason).toBe(plain.end.stopReason);
            if (plain.end.stopReason === "context-full") expect(plain.tokens.length).toBe(room + 1);
          },
        ),
        { numRuns: runs },
      );
    });
  });
}

/** Decodes `length` tokens through {@link step}, checking what each step leaves behind. */
async function decode(
  model: Model,
  prompt: readonly TokenId[],
  settings: ReturnType<typeof samplingSettings>,
  structure: Structure,
  length: number,
): Promise<TokenId[]> {
  const history = new History(prompt);
  const sampler = createSampler(settings, history);
  const seen: TokenId[] = [];
  const witness: Drafter = {
    name: "witness",
    rows: { pass: 2, prompt: 0 },
    begin() {},
    expand: () => [],
    observe(outcome) {
      expect(outcome.position).toBe(prompt.length - 1 + seen.length);
      for (let i = 0; i < outcome.path.length; i++) seen.push(pickedAt(outcome, i));
    },
  };
  await using sequence = await model.parts.target.createSequence({ capacity: prompt.length + length + 16 });
  await sequence.prefill(prompt.slice(0, -1));
  const tree = new DraftTree(0, 32);
  const decoding = {
    sequence,
    history,
    sampler,
    structure,
    drafters: [witness],
    attendance: new Attendance([witness], structure),
    repeats: new Repeats(),
    tree,
    want: wantOf(sampler, [witness], structure),
    restWant: wantOf(sampler, [witness], structure),
  };
  while (history.length < prompt.length + length) {
    await step(decoding, { nodes: 32, depth: 8 });
    tree.check();
    expect(history.length).toBe(sequence.length + 1);
    expect(history.tokens.slice(prompt.length)).toEqual(seen);
  }
  return seen.slice(0, length);
}

/** Grows random trees; about half of the guesses on the way follow `text`. */
function wildStructure(chaos: number, vocabSize: number, text: readonly TokenId[]): Structure {
  let state = chaos >>> 0;
  const next = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let calls = 0;
  return {
    grow(tree, _drafters, budget) {
      calls++;
      const nodes = 1 + next(budget.nodes);
      for (let tries = 0; tree.size < nodes && tries < 200; tries++) {
        const parent = next(2) === 0 ? tree.size - 1 : next(tree.size);
        if (tree.depths[parent]! >= budget.depth) continue;
        // The text's own continuation, guessed from any place where the parent's token stands.
        const places = [...text.keys()].filter((at) => text[at - 1] === tree.tokens[parent]);
        const guess =
          places.length > 0 && next(4) > 0
            ? text[places[(calls + next(2)) % places.length]!]!
            : next(vocabSize);
        if (tree.child(parent, guess) < 0) tree.push(parent, guess, next(100) / 100);
      }
    },
  };
}
