/** @file One step: draft, forward, verify, commit, and what it taught flows back to the drafters. */

import type { Coupling } from "../draft/coupling.ts";
import type { Drafter, StepOutcome } from "../draft/drafter.ts";
import type { PenaltyForecast } from "../draft/penalties.ts";
import type { Turn } from "../plan/budget-plan.ts";
import type { TextPlans } from "../plan/load-plans.ts";
import type { History } from "../sampling/history.ts";
import type { Sampler } from "../sampling/sampler.ts";
import type { Budget, Structure } from "../structure/structure.ts";
import type { TargetSequence, Want } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { Attendance } from "./attendance.ts";
import type { Repeats } from "./repeats.ts";
import { verify } from "./verify.ts";

/** All that takes part in the steps of one text. The last token of `history` is the root: not in the cache yet. */
export interface Decoding {
  readonly sequence: TargetSequence;
  readonly history: History;
  readonly sampler: Sampler;
  readonly structure: Structure;
  readonly drafters: readonly Drafter[];
  /** The text's noise, where it is sampled, as the drafters know it. */
  readonly coupling?: Coupling | undefined;
  /** The text's penalties, where it has some, as they know them. */
  readonly penalties?: PenaltyForecast | undefined;
  readonly attendance: Attendance;
  /** Told of the text only while nothing is drafted. */
  readonly repeats: Repeats;
  /** What sampler and drafters read of a row, together. */
  readonly want: Want;
  /** The same without drafters that may miss the step, for steps that all of these miss. */
  readonly restWant: Want;
  /** Used again for every step. */
  readonly tree: DraftTree;
  /** Say whether to draft, and cut each tree to what its pass is worth; without them, trees take all of their budget. */
  readonly plans?: TextPlans | undefined;
}

/** A step's outcome, and what it cost. */
export interface Step extends StepOutcome {
  readonly kind: "drafted" | "plain";
  /** What the plan said; undefined without one. */
  readonly turn: Turn | undefined;
  /** Why the plan drafted nothing; null while drafts pay, or without a plan. */
  readonly off: string | null;
  /** Nodes before the plan's cut. */
  readonly grown: number;
  /** Milliseconds that it waited for the target. */
  readonly passMs: number;
  /** Milliseconds that the tree took to grow, and the drafters to learn. */
  readonly draftMs: number;
}

export async function step(decoding: Decoding, budget: Budget): Promise<Step> {
  const { sequence, history, sampler, structure, drafters, attendance, repeats, tree, plans } = decoding;
  const position = sequence.length;
  const plan = plans?.at(sequence.company);
  const turn = plan?.next(position, sequence.company, plan.rests ? repeats.follow(history.tokens) : 0);
  const off = plan?.off ?? null;
  const rests = off !== null && turn?.kind === "plain";

  sequence.announce?.();
  // A head that reads ahead answers in plain steps, too.
  decoding.coupling?.begin(history.length);
  attendance.rest(rests);
  tree.reset(history.tokens[position]!);
  const start = performance.now();
  if (turn?.kind !== "plain") {
    await attendance.gather(history.tokens);
    const { nodes, depth, prices } = budget;
    await structure.grow(tree, drafters, { nodes, depth, prices: turn?.prices ?? prices });
  }
  const grown = tree.size;
  if (plan && turn && grown > 1) tree.truncate(plan.choose(turn, tree.values, grown));
  const drafted = performance.now();
  const pass = await sequence.forward(tree, attendance.bare ? decoding.restWant : decoding.want);
  const passMs = performance.now() - drafted;
  decoding.penalties?.observe(pass);
  const { path, bonus } = verify(tree, pass, sampler, history);
  sequence.commit(path);

  const outcome = { tree, pass, path, bonus, position };
  const unusual = structure.trial === true;
  const learning = performance.now();
  const learnt = attendance.observe(outcome);
  if (learnt) await learnt;
  const draftMs = drafted - start + performance.now() - learning;
  if (plan && turn) {
    const { company } = sequence;
    plan.observe(turn, {
      nodes: tree.size,
      tokens: path.length,
      expected: expectedOf(tree),
      passMs: learning - drafted,
      draftMs,
      unusual,
      company,
    });
  }
  const kind = turn?.kind ?? (drafters.length === 0 ? "plain" : "drafted");
  // Every field by itself: an object that is spread and then added to takes 20 us behind a pass.
  return { tree, pass, path, bonus, position, kind, turn, off, grown, passMs, draftMs };
}

/** Tokens that verifying `tree` is expected to give, the target's own among them. */
function expectedOf({ values, size }: DraftTree): number {
  let sum = 0;
  for (let node = 0; node < size; node++) sum += values[node]!;
  return sum;
}

/** What `sampler`, `drafters` and the stop rule of `structure` read of a row, and `logProbs` tokens to report, together. */
export function wantOf(
  sampler: Sampler,
  drafters: readonly Drafter[],
  { stop }: Pick<Structure, "stop">,
  logProbs?: number,
): Want {
  const { want } = sampler;
  const topK = Math.max(want.topK, logProbs ?? 0, ...drafters.map((drafter) => drafter.rows.pass));
  // What is picked by noise or after penalties may be on no list.
  const listless = want.pick !== undefined || want.penalties !== undefined;
  const logits = want.logits || (listless && logProbs !== undefined);
  return { ...want, topK, logits, taps: tapsOf(stop ? [...drafters, stop] : drafters) };
}

/** Whether a drafter reads rows of the prompt. */
export function readsPrompt({ rows, taps = [] }: Drafter): boolean {
  return rows.prompt > 0 || taps.length > 0;
}

/** What `drafters` read of a row of the prompt, together. */
export function promptWantOf(drafters: readonly Drafter[]): Want {
  return { topK: Math.max(0, ...drafters.map(({ rows }) => rows.prompt)), taps: tapsOf(drafters) };
}

function tapsOf(readers: readonly Pick<Drafter, "taps">[]): number[] {
  return [...new Set(readers.flatMap(({ taps = [] }) => taps))];
}
