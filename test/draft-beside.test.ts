/** @file A draft model beside its target: what it is asked first is answered while the caller goes on, and no answer is another one for it. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { modelOdds } from "../src/draft/answers.ts";
import { Coupling } from "../src/draft/coupling.ts";
import { ModelDrafter } from "../src/draft/model.ts";
import type { NativeTarget } from "../src/engine/native-target.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import { nativeTarget, randomLlama } from "./native-model.ts";
import { outcomeOf } from "./outcomes.ts";
import { describeTarget } from "./target-contract.ts";

const small = randomLlama({ heads: 2, kvHeads: 1, vocabSize: 40 }, 1);
const VOCAB = 40;
/** Its passes may find that a second thread does not pay; without passes of its own there is always one. */
const makeHost = () => nativeTarget(small, { threads: 2 });
const beside = (host: NativeTarget) => nativeTarget(small, { threads: 1, beside: host });

const host = await makeHost();
describeTarget("native, beside another", () => beside(host));

interface Step {
  /** Candidates that are asked for below a node; 0: a plain step. */
  readonly width: number;
  readonly rests: boolean;
  readonly accepted: number;
  readonly bonus: number;
}

const steps = fc.array(
  fc.record<Step>({
    width: fc.constantFrom(0, 1, 1, 1, 1, 3),
    rests: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    accepted: fc.nat(4),
    bonus: fc.nat(VOCAB - 1),
  }),
  { maxLength: 12 },
);

test.each([false, true])(
  "gives the answers of one that is not, with passes of the target: %s",
  async (passes) => {
    await using host = await makeHost();
    await using one = await beside(host);
    await using other = await nativeTarget(small, { threads: 1 });
    await using text = await host.createSequence({ capacity: 4 });
    let [asides, levels, took] = [0, 0, 0];
    const begin = one.begin.bind(one);
    one.begin = (work) => {
      const end = begin(work);
      asides += end ? 1 : 0;
      levels = Math.max(levels, end ? (work.chain?.levels ?? 0) : 0);
      return end;
    };
    await fc.assert(
      fc.asyncProperty(fc.boolean(), steps, fc.nat(5), async (sampled, steps, ahead) => {
        const filters = { topK: 0, topP: 1, minP: 0 };
        const coupling = sampled ? new Coupling({ ...filters, seed: 7, temperature: 0.8 }) : undefined;
        const drafters = [one, other].map((model) => new ModelDrafter(model, modelOdds()));
        const known = [1, 2, 3];
        for (const drafter of drafters) {
          drafter.couple(coupling);
          await drafter.begin(known);
        }
        for (const { width, rests, accepted, bonus } of steps) {
          coupling?.begin(known.length);
          if (passes) {
            await text.forward(new DraftTree(1, 1), { topK: 1 });
            text.rollback();
          }
          const tree = new DraftTree(known.at(-1)!, 5);
          for (let node = 0; width > 0 && node < 4; node++) {
            const outlook = { levels: Math.min(ahead, 3 - node), worth: 0.01 };
            const asked = drafters.map((drafter) => drafter.expand(tree, [node], width, outlook));
            const [mine, theirs] = (await Promise.all(asked)).map(([answer]) => ({
              tokens: [...answer!.tokens],
              probs: [...answer!.probs],
            }));
            expect(mine).toEqual(theirs);
            expect(drafters[1]!.ahead).toBeUndefined();
            const came = drafters[0]!.ahead;
            if (came) expect(came.questions).toBeGreaterThan(0);
            if (came?.ms) took++;
            tree.push(node, mine!.tokens[0]!, mine!.probs[0]!);
          }
          const path = tree.path(Math.min(accepted, tree.size - 1));
          const outcome = outcomeOf(tree, path, bonus, known.length - 1);
          for (const drafter of drafters) drafter.observe(outcome);
          known.push(...path.slice(1).map((node) => tree.tokens[node]!), bonus);
          for (const drafter of rests ? drafters : []) {
            drafter.rest(true);
            drafter.rest(false);
            await drafter.begin(known);
          }
        }
        for (const drafter of drafters) await drafter[Symbol.asyncDispose]();
      }),
      { numRuns: 100 },
    );
    if (!passes) expect(asides).toBeGreaterThan(50);
    if (!passes) expect(levels).toBeGreaterThan(2);
    if (!passes) expect(took).toBeGreaterThan(0);
  },
);

test("a sequence whose pass runs aside refuses everything else", async () => {
  await using host = await makeHost();
  await using model = await beside(host);
  await using sequence = await model.createSequence({ capacity: 20 });
  const tree = new DraftTree(1, 8);
  const aside = sequence.beginChain(tree, 1, { levels: 3, worth: 0 })!;
  expect(() => sequence.commit([0])).toThrow("aside");
  expect(() => sequence.rollback()).toThrow("aside");
  await expect(sequence.forward(tree, { topK: 1 })).rejects.toThrow("aside");
  // Another text of the model waits for it.
  await using another = await model.createSequence({ capacity: 20 });
  const alone = await another.forwardChain(new DraftTree(1, 8), 1, { levels: 3, worth: 0 });
  const pass = aside.end();
  expect([...pass.tokens]).toEqual([...alone.tokens]);
  expect(tree.size).toBe(4);
  sequence.commit([0, 1]);
  expect(sequence.length).toBe(2);
});
