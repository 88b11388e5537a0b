/**
 * @file What every target must keep to, run against each implementation: rows of a tree have the bits of plain
 * decoding, and the cache holds exactly what was committed.
 */

import { describe, expect, it } from "vitest";
import { positionKey } from "../src/random.ts";
import { type PenaltyRule, penalise } from "../src/target/penalties.ts";
import { type PickRule, pickToken } from "../src/target/pick.ts";
import { CHAIN_ODDS, type Pass, type Target, type TargetSequence, type Want } from "../src/target/target.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../src/types.ts";

const WANT: Want = { topK: 4, logits: true, taps: [0, 1] };

interface Row {
  readonly tokens: number[];
  readonly logProbs: number[];
  readonly logits: number[];
  readonly hidden: number[];
}

/** Numbers made from `seed`; only spread matters here. */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function rowOf(pass: Pass, node: NodeIndex): Row {
  return {
    tokens: [...pass.tokens.subarray(node * pass.k, (node + 1) * pass.k)],
    logProbs: [...pass.logProbs.subarray(node * pass.k, (node + 1) * pass.k)],
    logits: [...pass.logits(node)],
    hidden: [...pass.hidden(node, 0), ...pass.hidden(node, 1)],
  };
}

async function readOne(sequence: TargetSequence, token: TokenId): Promise<Row> {
  const row = rowOf(await sequence.forward(new DraftTree(token, 1), WANT), 0);
  sequence.commit([0]);
  return row;
}

/** Runs the contract on what `makeTarget` gives; its vocabulary needs 8 tokens, its context 128. */
export function describeTarget(name: string, makeTarget: () => Promise<Target>): void {
  /** A fresh target and sequence; the row after reading `text` token by token, from its own sequence, is the truth. */
  async function setUp(capacity = 128) {
    const target = await makeTarget();
    const sequence = await target.createSequence({ capacity });
    const next = numbers(capacity);
    const text = (length: number) => Array.from({ length }, () => next(target.vocabSize));
    const truth = async (tokens: readonly TokenId[]): Promise<Row> => {
      const plain = await target.createSequence({ capacity: 128 });
      let row: Row | undefined;
      for (const token of tokens) row = await readOne(plain, token);
      await plain[Symbol.asyncDispose]();
      return row!;
    };
    const close = async () => {
      await sequence[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
    };
    return { target, sequence, next, text, truth, close };
  }

  function randomTree(next: (below: number) => number, vocabSize: number, nodes: number): DraftTree {
    const tree = new DraftTree(next(vocabSize), nodes);
    while (tree.size < nodes) {
      const parent = next(2) === 0 ? tree.size - 1 : next(tree.size);
      const token = next(vocabSize);
      if (tree.child(parent, token) < 0) tree.push(parent, token, 0.5);
    }
    return tree;
  }

  describe(`target contract: ${name}`, () => {
    it("gives the rows of a tree the bits of each path read token by token", async () => {
      const { target, sequence, next, text, truth, close } = await setUp();
      const prompt = text(9);
      await sequence.prefill(prompt);
      for (const nodes of [1, 2, 5, 13, 24]) {
        const tree = randomTree(next, target.vocabSize, nodes);
        const pass = await sequence.forward(tree, WANT);
        expect(pass.size).toBe(nodes);
        const rows = Array.from({ length: nodes }, (_, node) => rowOf(pass, node));
        for (let node = 0; node < nodes; node++) {
          const path = tree.path(node).map((at) => tree.tokens[at]!);
          expect(rows[node]).toEqual(await truth([...prompt, ...path]));
        }
        sequence.rollback();
      }
      await close();
    });

    it("gives a tree that grows the same rows, level by level", async () => {
      const { target, sequence, next, text, truth, close } = await setUp();
      const prompt = text(9);
      await sequence.prefill(prompt);
      for (const nodes of [2, 9, 24]) {
        const whole = randomTree(next, target.vocabSize, nodes);
        const tree = new DraftTree(whole.root, nodes);
        for (let first = 0; first < nodes; first = tree.size) {
          const size = first === 0 ? 1 : Math.min(nodes, first + 1 + next(6));
          while (tree.size < size) tree.push(whole.parents[tree.size]!, whole.tokens[tree.size]!, 0.5);
          const pass = await sequence.forward(tree, WANT, first);
          expect(pass.size).toBe(size - first);
          const rows = Array.from({ length: pass.size }, (_, row) => rowOf(pass, row));
          for (let node = first; node < size; node++) {
            const path = tree.path(node).map((at) => tree.tokens[at]!);
            expect(rows[node - first]).toEqual(await truth([...prompt, ...path]));
          }
        }
        const path = tree.path(nodes - 1);
        sequence.commit(path);
        expect(sequence.length).toBe(prompt.length + path.length);
        sequence.truncate(prompt.length);
      }
      await close();
    });

    it("gives the same rows when some nodes, and others, have run through the first layers before", async () => {
      const { target, sequence, next, text, truth, close } = await setUp();
      const committed = text(9);
      await sequence.prefill(committed);
      for (let round = 0; round < 24; round++) {
        const tree = randomTree(next, target.vocabSize, 1 + next(20));
        // Nodes of the tree in another order, and nodes that are not in it; as they come, a few at a time.
        const came = new DraftTree(tree.root, 40);
        const place = [0];
        for (let tries = 0; tries < 3 * next(20); tries++) {
          const node = next(tree.size);
          const above = place[tree.parents[node]!];
          if (came.size === came.capacity) break;
          if (next(4) === 0) {
            const [parent, token] = [next(came.size), next(target.vocabSize)];
            if (came.child(parent, token) < 0 && came.depths[parent]! < 20) came.push(parent, token, 0.5);
          } else if (above !== undefined && place[node] === undefined) {
            const known = came.child(above, tree.tokens[node]!);
            place[node] = known >= 0 ? known : came.push(above, tree.tokens[node]!, 0.5);
          }
        }
        const grown = new DraftTree(came.root, came.size);
        for (let first = 0; first < came.size; first = grown.size) {
          const size = first === 0 ? 1 : Math.min(came.size, first + 1 + next(6));
          while (grown.size < size) grown.push(came.parents[grown.size]!, came.tokens[grown.size]!, 0.5);
          const states = await sequence.forwardFirst(grown, 1, first);
          for (let node = first; node < size; node++) {
            const path = grown.path(node).map((at) => grown.tokens[at]!);
            const { hidden } = await truth([...committed, ...path]);
            const row = states.subarray(
              (node - first) * target.hiddenSize,
              (node - first + 1) * target.hiddenSize,
            );
            expect([...row]).toEqual(hidden.slice(target.hiddenSize));
          }
        }
        if (round % 8 === 7) tree.reset((tree.root + 1) % target.vocabSize);
        // Also for who wants states before the first layers' end, which are not there any more.
        const pass = await sequence.forward(tree, round % 4 === 3 ? WANT : { ...WANT, taps: [1] });
        for (let node = 0; node < tree.size; node++) {
          const path = tree.path(node).map((at) => tree.tokens[at]!);
          const expected = await truth([...committed, ...path]);
          expect([...pass.logits(node)]).toEqual(expected.logits);
          expect([...pass.hidden(node, 1)]).toEqual(expected.hidden.slice(target.hiddenSize));
        }
        if (round % 3 === 0) {
          sequence.rollback();
          continue;
        }
        const path = tree.path(next(tree.size)).slice(0, 4);
        sequence.commit(path);
        committed.push(...path.map((node) => tree.tokens[node]!));
      }
      expect(sequence.length).toBe(committed.length);
      await close();
    });

    it("goes on with a chain of its likeliest tokens as far as it is told, if it does", async () => {
      const { target, sequence, next, text, truth, close } = await setUp();
      const committed = text(9);
      await sequence.prefill(committed);
      for (let round = 0; round < 24 && sequence.forwardChain; round++) {
        const random = randomTree(next, target.vocabSize, 1 + next(9));
        const tree = new DraftTree(random.root, 40);
        for (let node = 1; node < random.size; node++)
          tree.push(random.parents[node]!, random.tokens[node]!, 1);
        const first = round % 2 === 0 ? 0 : next(tree.size);
        const start = new DraftTree(tree.root, tree.size);
        for (let node = 1; node < first; node++) start.push(tree.parents[node]!, tree.tokens[node]!, 1);
        if (first > 0) await sequence.forward(start, { topK: 0 });
        const size = tree.size;
        const odds = Float64Array.from({ length: CHAIN_ODDS }, () => (1 + next(9)) / 10);
        const ahead = { levels: next(8), worth: next(8) / 20, ...(round % 3 > 0 && { odds }) };
        const aside = round % 4 === 1 ? sequence.beginChain?.(tree, 2, ahead, first) : undefined;
        const pass = aside ? aside.end() : await sequence.forwardChain(tree, 2, ahead, first);
        expect(pass.size).toBe(1 + tree.size - size);
        let value = 1;
        for (let row = 0; row < pass.size; row++) {
          const path = tree.path(size - 1 + row).map((at) => tree.tokens[at]!);
          const expected = await truth([...committed, ...path]);
          expect([...pass.tokens.subarray(2 * row, 2 * row + 2)]).toEqual(expected.tokens.slice(0, 2));
          expect([...pass.logProbs.subarray(2 * row, 2 * row + 2)]).toEqual(expected.logProbs.slice(0, 2));
          const prob = Math.exp(expected.logProbs[0]!);
          const chance = ahead.odds?.[Math.min(CHAIN_ODDS - 1, Math.floor(CHAIN_ODDS * prob))] ?? prob;
          value *= chance;
          const goesOn = row < ahead.levels && value * chance > ahead.worth;
          expect(row + 1 < pass.size).toBe(goesOn);
          if (goesOn) expect(tree.tokens[size + row]).toBe(expected.tokens[0]);
        }
        if (round % 3 === 0) {
          sequence.rollback();
          continue;
        }
        const path = tree.path(tree.size - 1).slice(0, 4);
        sequence.commit(path);
        committed.push(...path.map((node) => tree.tokens[node]!));
      }
      if (sequence.forwardChain) {
        const full = { levels: 128, worth: 0 };
        await expect(sequence.forwardChain(new DraftTree(1, 200), 1, full)).rejects.toThrow();
        const overflow = { levels: 127 - committed.length + 1, worth: 0 };
        await expect(sequence.forwardChain(new DraftTree(1, 200), 1, overflow)).rejects.toThrow();
        sequence.rollback();
      }
      await close();
    });

    it("keeps nothing of nodes that have run through the first layers alone", async () => {
      const { target, sequence, text, truth, close } = await setUp();
      const tokens = text(9);
      await sequence.prefill(tokens);
      const tree = new DraftTree(1, 3);
      const probe = async (...expected: TokenId[]) => {
        const row = rowOf(await sequence.forward(new DraftTree(2, 1), WANT), 0);
        sequence.rollback();
        expect(row).toEqual(await truth([...expected, 2]));
      };
      await sequence.forwardFirst(tree, 1);
      expect(() => sequence.commit([0])).toThrow();
      await sequence.forwardFirst(tree, 1);
      sequence.rollback();
      await probe(...tokens);
      await sequence.forwardFirst(tree, 1);
      await sequence.prefill([5]);
      await probe(...tokens, 5);
      await sequence.forwardFirst(tree, 1);
      sequence.truncate(4);
      await probe(...tokens.slice(0, 4));
      tree.push(0, 2, 0.5);
      await expect(sequence.forwardFirst(tree, 1, 1)).rejects.toThrow(RangeError);
      await sequence.forwardFirst(tree, 1);
      await expect(sequence.forwardFirst(tree, 1, 2)).rejects.toThrow(RangeError);
      for (const layers of [0, target.layers, 0.5])
        await expect(sequence.forwardFirst(tree, layers)).rejects.toThrow(RangeError);
      await expect(sequence.forwardFirst(new DraftTree(-1, 1), 1)).rejects.toThrow(RangeError);
      sequence.rollback();
      await close();
    });

    it("refuses to go on with a tree that is not pending, or has no new node", async () => {
      const { sequence, close } = await setUp();
      const tree = new DraftTree(1, 3);
      tree.push(0, 2, 0.5);
      await expect(sequence.forward(tree, { topK: 1 }, 1)).rejects.toThrow(RangeError);
      await sequence.forward(tree, { topK: 1 });
      await expect(sequence.forward(tree, { topK: 1 }, 2)).rejects.toThrow(RangeError);
      sequence.rollback();
      tree.push(0, 3, 0.5);
      await expect(sequence.forward(tree, { topK: 1 }, 2)).rejects.toThrow(RangeError);
      await sequence.forward(tree, { topK: 1 });
      sequence.rollback();
      await close();
    });

    it("orders the top tokens by logit, ties by id, and gives their log-probabilities", async () => {
      const { sequence, text, close } = await setUp();
      for (const token of text(6)) {
        const row = await readOne(sequence, token);
        const order = [...row.logits.keys()].sort((a, b) => row.logits[b]! - row.logits[a]! || a - b);
        expect(row.tokens).toEqual(order.slice(0, row.tokens.length));
        const max = row.logits[order[0]!]!;
        const logSum = Math.log(row.logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
        for (const [i, token] of row.tokens.entries()) {
          expect(row.logProbs[i]).toBeCloseTo(row.logits[token]! - max - logSum, 3);
        }
      }
      await close();
    });

    it("picks out of each row what its logits and the noise of its place say", async () => {
      const { target, sequence, next, text, close } = await setUp();
      await using other = await target.createSequence({ capacity: 64 });
      await sequence.prefill(text(7));
      await other.prefill(text(2));
      const check = (pass: Pass, tree: DraftTree, rule: PickRule, length: number) => {
        for (let node = 0; node < tree.size; node++) {
          const key = positionKey(rule.seed, length + tree.depths[node]! + 1);
          const top = pass.tokens[node * pass.k]!;
          expect(pass.picks[node]).toBe(pickToken(pass.logits(node), top, rule, key));
        }
      };
      const ruleOf = (round: number): PickRule => ({
        seed: 2 ** 32 - 1 - round,
        scale: [0.01, 0.7, 1, 5, Infinity][round % 5]!,
        reach: round % 2 === 0 ? Infinity : next(4),
        topP: [undefined, 0.7, 0.2][round % 3],
      });
      const want = { topK: 1, logits: true };
      for (let round = 0; round < 10; round++) {
        const tree = randomTree(next, target.vocabSize, 1 + next(12));
        const rule = ruleOf(round);
        check(await sequence.forward(tree, { ...want, pick: rule }), tree, rule, sequence.length);
        sequence.commit([0]);
        if (!target.forwardAll) continue;
        const pair = [randomTree(next, target.vocabSize, 3), randomTree(next, target.vocabSize, 5)] as const;
        const otherRule = ruleOf(round + 3);
        const passes = await target.forwardAll(
          [
            { sequence, tree: pair[0], pick: rule },
            { sequence: other, tree: pair[1], pick: otherRule },
          ],
          want,
        );
        check(passes[0]!, pair[0], rule, sequence.length);
        check(passes[1]!, pair[1], otherRule, other.length);
        sequence.rollback();
        other.commit([0]);
      }
      const pick = ruleOf(1);
      await expect(sequence.forward(new DraftTree(1, 1), { topK: 0, pick })).rejects.toThrow(RangeError);
      await close();
    });

    it("lists the best tokens after penalties, and picks out of these", async () => {
      const { target, sequence, next, text, close } = await setUp();
      await using other = await target.createSequence({ capacity: 64 });
      await sequence.prefill(text(7));
      await other.prefill(text(2));
      const want = { topK: 3, logits: true };
      const check = (pass: Pass, tree: DraftTree, { pick, penalties }: Rules, length: number, first = 0) => {
        for (let row = 0; row < pass.size; row++) {
          const path = tree.path(first + row);
          const behind = path.slice(1).map((node) => tree.tokens[node]!);
          const logits = pass.logits(row).slice();
          const raw = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
          expect([...pass.tokens.subarray(row * pass.k, (row + 1) * pass.k)]).toEqual(raw.slice(0, pass.k));
          penalise(logits, penalties, behind);
          const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
          const { k, tokens, logits: values } = pass.penalised!;
          expect(k).toBeGreaterThanOrEqual(penalties.listed);
          for (let i = 0; i < k; i++) {
            expect(tokens[row * k + i]).toBe(order[i]);
            expect(values[row * k + i]).toBe(logits[order[i]!]);
          }
          const key = positionKey(pick.seed, length + path.length);
          expect(pass.picks[row]).toBe(pickToken(logits, order[0]!, pick, key));
        }
      };
      type Rules = { readonly pick: PickRule; readonly penalties: PenaltyRule };
      const rulesOf = (round: number): Rules => {
        const tokens = Int32Array.from(new Set(text(20)));
        const generated = tokens.map(() => next(3));
        const size = round % 4 === 3 ? 0 : tokens.length;
        return {
          pick: { seed: round, scale: 1, reach: Infinity },
          penalties: {
            repetition: [1.2, 1, 0.6][round % 3]!,
            frequency: [0, 0.4, -0.3][round % 3]!,
            presence: round % 2,
            text: { size, tokens, generated },
            listed: 1 + next(5),
          },
        };
      };
      for (let round = 0; round < 12; round++) {
        const tree = randomTree(next, target.vocabSize, 2 + next(12));
        const rules = rulesOf(round);
        if (round % 3 === 2) await sequence.forwardFirst(tree, 1);
        check(await sequence.forward(tree, { ...want, ...rules }), tree, rules, sequence.length);
        sequence.rollback();
        const grown = new DraftTree(tree.root, tree.size);
        for (const size of [1, tree.size]) {
          const first = size === 1 ? 0 : 1;
          while (grown.size < size) grown.push(tree.parents[grown.size]!, tree.tokens[grown.size]!, 0.5);
          const pass = await sequence.forward(grown, { ...want, ...rules }, first);
          check(pass, grown, rules, sequence.length, first);
        }
        sequence.commit([0]);
        if (!target.forwardAll) continue;
        const pair = [randomTree(next, target.vocabSize, 3), randomTree(next, target.vocabSize, 5)] as const;
        const batch = [
          { sequence, tree: pair[0], ...(round % 2 === 0 ? rules : { pick: rules.pick }) },
          { sequence: other, tree: pair[1], ...rulesOf(round + 3) },
        ] as const;
        const passes = await target.forwardAll(batch, want);
        if (round % 2 === 0) check(passes[0]!, pair[0], rules, sequence.length);
        check(passes[1]!, pair[1], batch[1], other.length);
        sequence.rollback();
        other.commit([0]);
      }
      const { penalties } = rulesOf(0);
      const unlisted = sequence.forward(new DraftTree(1, 1), { topK: 0, penalties });
      await expect(unlisted).rejects.toThrow(RangeError);
      await close();
    });

    it("gives nothing that was not asked for", async () => {
      const { sequence, close } = await setUp();
      const pass = await sequence.forward(new DraftTree(1, 1), { topK: 0 });
      expect([pass.size, pass.k, pass.tokens.length, pass.picks.length]).toEqual([1, 0, 0, 0]);
      expect(pass.penalised).toBeUndefined();
      expect(() => pass.logits(0)).toThrow(RangeError);
      expect(() => pass.hidden(0, 0)).toThrow(RangeError);
      sequence.rollback();
      await close();
    });

    it("gives the same top tokens whether or not logits are wanted", async () => {
      const { sequence, close } = await setUp();
      const full = rowOf(await sequence.forward(new DraftTree(3, 1), WANT), 0);
      sequence.rollback();
      const pass = await sequence.forward(new DraftTree(3, 1), { topK: 4 });
      expect([...pass.tokens]).toEqual(full.tokens);
      expect([...pass.logProbs]).toEqual(full.logProbs);
      sequence.rollback();
      await close();
    });

    it("commits a path and drops the rest, again and again", async () => {
      const { target, sequence, next, text, truth, close } = await setUp();
      const committed = text(5);
      await sequence.prefill(committed);
      for (let round = 0; round < 8; round++) {
        const tree = randomTree(next, target.vocabSize, 1 + next(12));
        await sequence.forward(tree, { topK: 1 });
        const path = tree.path(next(tree.size));
        sequence.commit(path);
        committed.push(...path.map((node) => tree.tokens[node]!));
        expect(sequence.length).toBe(committed.length);
        const probe = next(target.vocabSize);
        const row = rowOf(await sequence.forward(new DraftTree(probe, 1), WANT), 0);
        sequence.rollback();
        expect(sequence.length).toBe(committed.length);
        expect(row).toEqual(await truth([...committed, probe]));
      }
      await close();
    });

    it("refuses to commit what is not a path from the root", async () => {
      const { sequence, close } = await setUp();
      const tree = new DraftTree(1, 3);
      tree.push(0, 2, 1);
      tree.push(0, 3, 1);
      await sequence.forward(tree, { topK: 1 });
      expect(() => sequence.commit([1])).toThrow(RangeError);
      expect(() => sequence.commit([0, 1, 2])).toThrow(RangeError);
      sequence.commit([0, 2]);
      expect(sequence.length).toBe(2);
      expect(() => sequence.commit([0])).toThrow();
      await close();
    });

    it("truncates to any length and goes on from there", async () => {
      const { sequence, text, truth, close } = await setUp();
      const tokens = text(20);
      await sequence.prefill(tokens);
      for (const length of [20, 13, 12, 1, 0]) {
        sequence.truncate(length);
        expect(sequence.length).toBe(length);
        const row = rowOf(await sequence.forward(new DraftTree(2, 1), WANT), 0);
        sequence.rollback();
        expect(row).toEqual(await truth([...tokens.slice(0, length), 2]));
      }
      expect(() => sequence.truncate(1)).toThrow(RangeError);
      expect(() => sequence.truncate(-1)).toThrow(RangeError);
      await close();
    });

    it("prefills in any chunking, with rows as in plain decoding", async () => {
      const { target, sequence, text, truth, close } = await setUp();
      const tokens = text(70);
      const plain = await truth(tokens);
      for (const cut of [0, 1, 31, 69]) {
        sequence.truncate(0);
        const read: TokenId[] = [];
        let last: Row | undefined;
        for (const part of [tokens.slice(0, cut), tokens.slice(cut)]) {
          let doneBefore = 0;
          await sequence.prefill(part, {
            want: WANT,
            onChunk: (chunk) => {
              expect(chunk.pass.size).toBe(chunk.tokens.length);
              expect(chunk.done).toBe(doneBefore + chunk.tokens.length);
              doneBefore = chunk.done;
              read.push(...chunk.tokens);
              last = rowOf(chunk.pass, chunk.tokens.length - 1);
            },
          });
        }
        expect(read).toEqual(tokens);
        expect(last).toEqual(plain);
        expect(sequence.length).toBe(tokens.length);
        const after = rowOf(await sequence.forward(new DraftTree(1, 1), WANT), 0);
        sequence.rollback();
        expect(after).toEqual(await truth([...tokens, 1]));
      }
      expect(target.vocabSize).toBeGreaterThanOrEqual(8);
      await close();
    });

    it("says context-overflow when tokens or a path do not fit, and changes nothing", async () => {
      const { sequence, text, close } = await setUp(8);
      const overflow = expect.objectContaining({ name: "EspalierError", code: "context-overflow" });
      await expect(sequence.prefill(text(9))).rejects.toEqual(overflow);
      expect(sequence.length).toBe(0);
      await sequence.prefill(text(6));
      const fits = new DraftTree(1, 8);
      for (let token = 0; token < 6; token++) fits.push(0, token, 0.1);
      await sequence.forward(fits, { topK: 1 });
      sequence.rollback();
      const deep = new DraftTree(1, 3);
      deep.push(deep.push(0, 1, 1), 1, 1);
      await expect(sequence.forward(deep, { topK: 1 })).rejects.toEqual(overflow);
      expect(sequence.length).toBe(6);
      await sequence.forward(fits, { topK: 1 });
      sequence.commit([0, 3]);
      await expect(sequence.forward(new DraftTree(1, 1), { topK: 1 })).rejects.toEqual(overflow);
      await expect(sequence.prefill([1])).rejects.toEqual(overflow);
      await sequence.prefill([]);
      expect(sequence.length).toBe(8);
      await close();
    });

    it("refuses tokens outside the vocabulary and trees of too many nodes", async () => {
      const { target, sequence, close } = await setUp();
      await expect(sequence.prefill([target.vocabSize])).rejects.toThrow(RangeError);
      await expect(sequence.forward(new DraftTree(-1, 1), { topK: 1 })).rejects.toThrow(RangeError);
      const tree = new DraftTree(0, target.maxNodes + 1);
      for (let at = 0; tree.size < tree.capacity; at++) {
        for (let token = 0; token < 8 && tree.size < tree.capacity; token++) tree.push(at, token, 0.1);
      }
      await expect(sequence.forward(tree, { topK: 1 })).rejects.toThrow(RangeError);
      expect(sequence.length).toBe(0);
      await close();
    });

    it("keeps whole chunks when a prefill is aborted, and can go on", async () => {
      const { sequence, text, truth, close } = await setUp();
      const tokens = text(100);
      const stop = new AbortController();
      stop.abort();
      await expect(sequence.prefill(tokens, { signal: stop.signal })).rejects.toThrow();
      expect(sequence.length).toBe(0);
      const midway = new AbortController();
      const prefill = sequence.prefill(tokens, {
        signal: midway.signal,
        onChunk: () => midway.abort(),
      });
      await prefill.catch(() => {});
      expect(sequence.length).toBeGreaterThan(0);
      expect(sequence.length).toBeLessThanOrEqual(tokens.length);
      await sequence.prefill(tokens.slice(sequence.length, 100));
      const row = rowOf(await sequence.forward(new DraftTree(1, 1), WANT), 0);
      expect(row).toEqual(await truth([...tokens, 1]));
      await close();
    });

    it("runs the trees of several sequences in one pass, with the rows that each gets alone", async () => {
      const { target, sequence, next, text, truth, close } = await setUp();
      if (!target.forwardAll) return close();
      const others = await Promise.all([64, 65, 66].map((capacity) => target.createSequence({ capacity })));
      const sequences = [sequence, ...others];
      const texts = sequences.map((_, i) => text(3 + 9 * i));
      for (const [i, one] of sequences.entries()) await one.prefill(texts[i]!);
      for (let round = 0; round < 3; round++) {
        const batch = sequences.map((sequence) => ({
          sequence,
          tree: randomTree(next, target.vocabSize, 1 + next(9)),
        }));
        const passes = await target.forwardAll(batch, WANT);
        for (const [i, { sequence, tree }] of batch.entries()) {
          expect(passes[i]!.size).toBe(tree.size);
          const path = tree.path(next(tree.size));
          const tokens = path.map((node) => tree.tokens[node]!);
          texts[i]!.push(...tokens);
          expect(rowOf(passes[i]!, path.at(-1)!)).toEqual(await truth(texts[i]!));
          sequence.commit(path);
        }
      }
      const large = sequences.map((sequence) => ({
        sequence,
        tree: randomTree(next, target.vocabSize, target.maxNodes / 2),
      }));
      await expect(target.forwardAll(large, { topK: 1 })).rejects.toThrow(RangeError);
      for (const one of others) await one[Symbol.asyncDispose]();
      await close();
    });

    it("leaves a text its rows of a shared pass, whatever the others run, until it runs itself", async () => {
      const { target, sequence, text, truth, close } = await setUp();
      if (!target.forwardAll) return close();
      const slow = await target.createSequence({ capacity: 64 });
      const [ahead, behind] = [text(9), text(5)];
      await sequence.prefill(ahead);
      await slow.prefill(behind);
      const batch = [sequence, slow].map((one) => ({ sequence: one, tree: new DraftTree(3, 1) }));
      const passes = await target.forwardAll(batch, WANT);
      sequence.commit([0]);
      for (let step = 0; step < 3; step++) {
        await sequence.forward(new DraftTree(step, 1), WANT);
        sequence.commit([0]);
      }
      await sequence.prefill(ahead);
      sequence.rollback();
      expect(rowOf(passes[1]!, 0)).toEqual(await truth([...behind, 3]));
      await slow[Symbol.asyncDispose]();
      await close();
    });

    it("copies the beginning of another sequence, which both then go on from", async () => {
      const { target, sequence, text, truth, close } = await setUp();
      const other = await target.createSequence({ capacity: 60 });
      if (!sequence.copyFrom || !other.copyFrom) return close();
      const tokens = text(50);
      await sequence.prefill(tokens);
      for (const length of [50, 33, 0, 17]) {
        await other.forward(new DraftTree(1, 1), WANT);
        const running = sequence.forward(new DraftTree(5, 1), WANT);
        await other.copyFrom(sequence, length);
        await running;
        sequence.rollback();
        expect(other.length).toBe(length);
        expect(await readOne(other, 2)).toEqual(await truth([...tokens.slice(0, length), 2]));
        expect(await readOne(other, 3)).toEqual(await truth([...tokens.slice(0, length), 2, 3]));
        const row = rowOf(await sequence.forward(new DraftTree(4, 1), WANT), 0);
        sequence.rollback();
        expect(row).toEqual(await truth([...tokens, 4]));
      }
      if (other.bytes !== undefined) expect(other.bytes).toBeGreaterThan(0);
      await sequence.prefill(text(20));
      for (const length of [71, 61, -1])
        await expect(other.copyFrom(sequence, length)).rejects.toThrow(RangeError);
      await expect(other.copyFrom(other, 1)).rejects.toThrow(RangeError);
      expect(other.length).toBe(19);
      await other[Symbol.asyncDispose]();
      await close();
    });

    it("keeps the sequences of one target apart", async () => {
      const { target, sequence, text, truth, close } = await setUp();
      const other = await target.createSequence({ capacity: 64 });
      const [a, b] = [text(12), text(12)];
      for (let i = 0; i < 12; i++) {
        const [rowA, rowB] = [await readOne(sequence, a[i]!), await readOne(other, b[i]!)];
        if (i === 11) expect([rowA, rowB]).toEqual([await truth(a), await truth(b)]);
      }
      await other[Symbol.asyncDispose]();
      await close();
    });
  });
}
