/**
 * @file The stream of one generation: prefill, steps, and the end. Whatever happens (a stop in the middle of an accepted
 * path, an abort, a reader that leaves early), the cache ends up holding a prefix of the text and nothing else.
 */

import { Coupling } from "../draft/coupling.ts";
import type { Drafter } from "../draft/drafter.ts";
import { LookupDrafter, LookupOdds } from "../draft/lookup.ts";
import { PenaltyForecast } from "../draft/penalties.ts";
import type { Method } from "../methods/method.ts";
import type { LoadPlans } from "../plan/load-plans.ts";
import { History } from "../sampling/history.ts";
import { createSampler } from "../sampling/sampler.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { GenerateEvent, StopReason } from "./api.ts";
import { Attendance } from "./attendance.ts";
import type { Cache } from "./cache.ts";
import { DrafterClock } from "./drafter-clock.ts";
import { LogProbReader } from "./log-probs.ts";
import { Output } from "./output.ts";
import type { ModelParts } from "./parts.ts";
import { Repeats } from "./repeats.ts";
import type { CheckedRequest } from "./request.ts";
import { StatsCounter } from "./stats.ts";
import { type Decoding, promptWantOf, readsPrompt, type Step, step, wantOf } from "./step.ts";
import { reportOf } from "./step-report.ts";

/** Nodes of a tree when nobody says how many and no pass was measured. */
const DEFAULT_BUDGET = 8;

/** A method, and the plans of its trees when the cost of passes is known. */
export interface Planned {
  readonly method: Method;
  readonly plans: LoadPlans | undefined;
}

/** Generates in `cache`, whose text may be at most `contextLength` tokens long. */
export async function* generate(
  model: ModelParts,
  planned: Planned,
  cache: Cache,
  request: CheckedRequest,
  contextLength: number,
): AsyncGenerator<GenerateEvent, void, undefined> {
  const { prompt, prediction, onStep, signal } = request;
  const { method } = planned;
  const { sequence } = cache;
  const history = new History(prompt);
  const sampler = createSampler(request.sampling, history);
  const coupling = request.sampling.temperature > 0 ? new Coupling(request.sampling) : undefined;
  const { penalties: rule } = sampler.want;
  const penalties = rule && new PenaltyForecast(rule, history.counts);
  const { structure, drafters: own } = cache.composition(method);
  const all: readonly Drafter[] = prediction
    ? [...own, new LookupDrafter(new LookupOdds(), prediction)]
    : own;
  const clock = onStep && new DrafterClock();
  const drafters = clock?.watch(all) ?? all;
  const usual = request.sampling.temperature > 0 ? planned.plans?.sampled : planned.plans;
  // How well predictions do tells nothing of the method without them.
  const plans = (prediction ? usual?.fork() : usual)?.ofText();
  const attending = drafters.filter(({ mayMiss }) => !mayMiss);
  const drafts = drafters.length > 0;
  const chosen = drafts && request.budget === undefined ? plans : undefined;
  const budget = drafts ? (request.budget ?? plans?.most ?? DEFAULT_BUDGET) : 1;
  // Who names a number of nodes gets that many; what their draft may cost is still measured.
  const prices = plans && { ...plans.at().prices(prompt.length), node: 0 };
  const tree = new DraftTree(0, budget);
  const attendance = new Attendance(drafters, structure);
  const decoding: Decoding = {
    sequence,
    history,
    sampler,
    structure,
    drafters,
    coupling,
    penalties,
    attendance,
    repeats: new Repeats(),
    want: wantOf(sampler, drafters, structure, request.logProbs),
    restWant: wantOf(sampler, attending, structure, request.logProbs),
    tree,
    plans: chosen,
  };
  const output = new Output(model.tokenizer, request.stop, request);
  const reader =
    request.logProbs === undefined
      ? undefined
      : new LogProbReader(request.logProbs, model.tokenizer, decoding.want.logits === true);
  const stats = new StatsCounter(drafters);
  const endTokens = new Set(model.endTokens);
  const room = contextLength - prompt.length;
  const most = Math.min(request.maxTokens, room);
  for (const drafter of drafters) {
    await drafter.load?.();
    drafter.couple?.(coupling, penalties);
  }
  await structure.stop?.load?.();
  const cachedTokens = cache.reuse(prompt, drafters);
  let reason: StopReason | undefined;

  try {
    if (!(await prefill())) reason = "aborted";
    while (reason === undefined) {
      const start = performance.now();
      // A tree never guesses past the last token that may still come, so maxTokens and the context hold by themselves.
      const result = await step(decoding, {
        nodes: budget,
        depth: most - output.tokens - 1,
        prices,
      });
      stats.countStep(result);
      reason = accept(result);
      if (reason === undefined && output.tokens === most)
        reason = request.maxTokens <= room ? "max-tokens" : "context-full";
      if (reason === undefined && signal?.aborted) reason = "aborted";
      if (reason !== undefined && reason !== "stop-string" && output.end()) reason = "stop-string";
      const pieces = output.take();
      const ms = performance.now() - start;
      stats.decodeMs += ms;
      onStep?.(reportOf(result, { ms, drafterMs: clock!.take() }, (sources) => stats.namesOf(sources)));
      if (pieces.length > 0) yield { type: "text", text: pieces.map(({ text }) => text).join(""), pieces };
    }
  } finally {
    history.truncate(prompt.length + output.tokens);
    cache.settle(history);
  }
  yield {
    type: "end",
    text: output.text,
    tokens: history.tokens.slice(prompt.length),
    stopReason: reason,
    stats: stats.summary({
      method: method.name,
      promptTokens: prompt.length,
      cachedTokens,
      tokens: output.tokens,
      off: chosen?.at(sequence.company).off ?? drafters.find(({ off }) => off)?.off ?? null,
    }),
  };

  /** Target and drafters read the prompt, the target all but the first root, its last token; false when it was aborted. */
  async function prefill(): Promise<boolean> {
    const start = performance.now();
    try {
      signal?.throwIfAborted();
      attendance.rest(chosen?.at(sequence.company).rests ?? false);
      const readers = attendance.attending.filter(readsPrompt);
      await sequence.prefill(prompt.slice(sequence.length, -1), {
        ...(signal && { signal }),
        ...(readers.length > 0 && { want: promptWantOf(readers) }),
        onChunk: async ({ tokens, pass }) => {
          const position = sequence.length - tokens.length;
          for (const reader of readers) await reader.observePrompt?.(tokens, pass, position);
        },
      });
      await attendance.begin(prompt, signal);
      structure.stop?.begin?.(prompt);
      structure.begin?.(request.sampling.temperature);
      return true;
    } catch (error) {
      if (signal?.aborted) return false;
      throw error;
    } finally {
      stats.prefillMs = performance.now() - start;
    }
  }

  /** Hands the tokens of a step to the output, up to the one that ends the text. */
  function accept({ path, bonus, pass }: Step): StopReason | undefined {
    for (let i = 1; i <= path.length; i++) {
      const node = path[i];
      const token = node === undefined ? bonus : tree.tokens[node]!;
      const names = stats.namesOf(node === undefined ? 0 : tree.sources[node]!);
      if (endTokens.has(token)) {
        output.pushSilent(token, names);
        return "end-token";
      }
      const report = reader?.read(pass, path[i - 1]!, token);
      if (output.push(token, names, report)) return "stop-string";
    }
    return undefined;
  }
}
