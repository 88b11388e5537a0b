/** @file Records a trace: the model writes its texts plainly, and at every position the largest trees of each structure are drafted. */

import type { Candidates, Drafter } from "../../src/draft/drafter.ts";
import { EagleDrafter } from "../../src/draft/eagle.ts";
import { ExitDrafter } from "../../src/draft/exit.ts";
import { ModelDrafter } from "../../src/draft/model.ts";
import type { Model } from "../../src/session/model.ts";
import { chain } from "../../src/structure/chain.ts";
import { eagle2 } from "../../src/structure/eagle-2.ts";
import { OptTree } from "../../src/structure/opt-tree.ts";
import { fixed } from "../../src/structure/stop/fixed.ts";
import type { Target, TargetSequence } from "../../src/target/target.ts";
import { DraftTree } from "../../src/tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../../src/types.ts";
import { Calibrated } from "./calibrated.ts";
import { type Answered, BRANCHES, LEAST, type Trace, type TracedText, UNIT } from "./trace.ts";

/** The longest chain that can be replayed. */
export const LONGEST = 10;

export interface RecordOptions {
  readonly prompts: readonly { readonly id: string; readonly tokens: readonly TokenId[] }[];
  readonly maxTokens: number;
  /** Nodes of the largest trees, root included. */
  readonly nodes: number;
  readonly onText?: (done: number) => void;
}

export async function record(model: Model, options: RecordOptions): Promise<Trace> {
  const { draftModel, head, exit } = model.parts;
  if (!head && !exit && !draftModel)
    throw new RangeError(`${model.name} has no draft head, exit block or draft model`);
  const texts: TracedText[] = [];
  for (const { id, tokens } of options.prompts) {
    texts.push(await recordText(model, { ...options, id, prompt: tokens }));
    options.onText?.(texts.length);
  }
  return { model: model.name, drafter: (head ?? exit)?.name ?? "draft model", nodes: options.nodes, texts };
}

/** Without odds: what is replayed is what the drafter says. */
function drafterFor({ target, head, exit, draftModel }: Model["parts"], sequence: TargetSequence) {
  if (head) return new EagleDrafter(head, target.contextLength);
  if (exit) return new ExitDrafter(exit, sequence, target.contextLength);
  return new ModelDrafter(draftModel!);
}

async function recordText(
  model: Model,
  options: RecordOptions & { readonly id: string; readonly prompt: readonly TokenId[] },
): Promise<TracedText> {
  const { id, prompt, maxTokens, nodes } = options;
  const { target, lengths } = model.parts;
  const tokens = [...prompt, ...(await writePlainly(model, prompt, maxTokens))];
  const structures = [
    { structure: new OptTree({ continue: () => true }, { branches: BRANCHES }), nodes },
    { structure: eagle2(), nodes },
    { structure: chain(fixed(LONGEST)), nodes: LONGEST + 1 },
  ];
  await using sequence = await target.createSequence({ capacity: tokens.length });
  await using drafter: Drafter & AsyncDisposable = drafterFor(model.parts, sequence);
  const want = { topK: 0, taps: [...new Set([...(drafter.taps ?? []), ...(lengths?.taps ?? [])])] };
  const steps: Answered[][] = [];
  const said: (number | null)[] = [null];
  drafter.resume?.(prompt, 0);
  await sequence.prefill(prompt.slice(0, -1), {
    ...(drafter.taps && { want }),
    onChunk: async ({ tokens, pass }) => {
      if (drafter.taps) await drafter.observePrompt?.(tokens, pass, sequence.length - tokens.length);
    },
  });
  await drafter.begin(prompt);
  const recorder = new Recorder(drafter, target);
  const calibrated = new Calibrated(recorder);
  for (let at = prompt.length - 1; at < tokens.length - 1; at++) {
    recorder.start(tokens[at]!);
    const depth = tokens.length - 1 - at;
    for (const { structure, nodes } of structures) {
      for (const drafter of [recorder, calibrated]) {
        await structure.grow(new DraftTree(tokens[at]!, nodes), [drafter], { nodes, depth });
      }
    }
    calibrated.learn(tokens.slice(at + 1));
    steps.push(recorder.answered);
    const tree = new DraftTree(tokens[at]!, 1);
    const pass = await sequence.forward(tree, want);
    sequence.commit([0]);
    if (lengths) said.push(lengths.predict(pass.hidden(0, lengths.taps[0]), pass.hidden(0, lengths.taps[1])));
    await drafter.observe({ tree, pass, path: [0], bonus: tokens[at + 1]!, position: at });
  }
  return {
    id,
    tokens,
    prompt: prompt.length,
    steps,
    ...(lengths && { lengths: said.slice(0, steps.length) }),
  };
}

async function writePlainly(
  model: Model,
  prompt: readonly TokenId[],
  maxTokens: number,
): Promise<readonly TokenId[]> {
  for await (const event of model.generate({ tokens: prompt, maxTokens, method: "plain" })) {
    if (event.type === "end") return event.tokens;
  }
  throw new Error("internal: a generation without an end");
}

/** Asks a drafter once about each node, whatever tree it is in, rounds its answers and keeps them. */
class Recorder implements Drafter {
  readonly name = "recorder";
  readonly rows = { pass: 0, prompt: 0 };
  /** Of this step. */
  answered: Answered[] = [];
  readonly #drafter: Drafter;
  /** All nodes that anything was asked about, and those above them. */
  readonly #tree: DraftTree;
  /** By node of `#tree`, its place in `answered`. */
  readonly #places: number[] = [];

  constructor(drafter: Drafter, { maxNodes }: Target) {
    this.#drafter = drafter;
    this.#tree = new DraftTree(0, 8 * maxNodes);
  }

  /** A step from `root`. */
  start(root: TokenId): void {
    this.#tree.reset(root);
    this.#places.length = 0;
    this.answered = [];
  }

  begin(): void {}
  observe(): void {}

  async expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Promise<Candidates[]> {
    const own = nodes.map((node) => this.#find(tree, node));
    const fresh = own.filter((node) => this.#places[node] === undefined);
    const answers = fresh.length === 0 ? [] : await this.#drafter.expand(this.#tree, fresh, BRANCHES);
    for (const [i, node] of fresh.entries()) this.#keep(node, answers[i]!);
    return own.map((node) => {
      const { tokens, units } = this.answered[this.#places[node]!]!;
      return { tokens: tokens.slice(0, width), probs: units.slice(0, width).map((count) => count * UNIT) };
    });
  }

  #keep(node: NodeIndex, { tokens, probs }: Candidates): void {
    const likely = probs.filter((prob) => prob >= LEAST).length;
    this.#places[node] = this.answered.length;
    this.answered.push({
      parent: node === 0 ? -1 : this.#places[this.#tree.parents[node]!]!,
      token: this.#tree.tokens[node]!,
      tokens: tokens.slice(0, likely),
      units: probs.slice(0, likely).map((prob) => Math.round(prob / UNIT)),
    });
  }

  #find(tree: DraftTree, node: NodeIndex): NodeIndex {
    let at = 0;
    for (const step of tree.path(node).slice(1)) {
      const token = tree.tokens[step]!;
      const child = this.#tree.child(at, token);
      at = child >= 0 ? child : this.#tree.push(at, token, 1);
    }
    return at;
  }
}
