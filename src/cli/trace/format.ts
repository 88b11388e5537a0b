/** @file The format of trace files: what they hold, and the check that what a file holds makes sense. A file may come from anybody. */

import { z } from "zod";
import { MAX_SOURCES } from "../../tree/draft-tree.ts";

export const TRACE_FORMAT = "espalier-trace";
export const TRACE_VERSION = 1;
/** The most nodes that a trace keeps, of all its steps; as text they are a few megabytes. */
export const MOST_NODES = 1 << 18;
/** The most nodes of one tree. */
const MOST_TREE = 4096;

const count = z.int().min(0);
const token = z.int().min(0);
/** Milliseconds and tokens; a step of days is none. */
const amount = z.number().min(0).max(1e9);
const byNode = <T extends z.ZodType>(value: T) => z.array(value).min(1).max(MOST_TREE);

/** A step as of `StepReport`, whose `values` are the products of `probs`; `sources` has a bit for each name in `drafters`. */
const stepSchema = z
  .object({
    position: count,
    kind: z.enum(["drafted", "plain"]),
    trial: z.boolean(),
    off: z.string().nullable(),
    nodePrice: amount.nullable(),
    grown: z.int().min(1),
    tokens: byNode(token),
    parents: byNode(z.int().min(-1)),
    probs: byNode(z.number().min(0).max(1)),
    sources: byNode(count),
    path: byNode(count),
    bonus: token,
    ms: amount,
    passMs: amount,
    draftMs: amount,
    drafterMs: amount,
  })
  .superRefine((step, context) => {
    const fault = faultOf(step);
    if (fault) context.addIssue({ code: "custom", ...fault });
  });

export const traceSchema = z
  .object({
    format: z.literal(TRACE_FORMAT),
    version: z.literal(TRACE_VERSION),
    model: z.string(),
    method: z.string(),
    drafters: z.array(z.string()).max(MAX_SOURCES),
    prompt: z.object({ tokens: z.array(token).min(1), text: z.string() }),
    /** The result. */
    tokens: z.array(token),
    text: z.string(),
    stopReason: z.string(),
    /** Of every token in the file, its text; bytes that are no UTF-8 as <0xC3>. */
    texts: z.array(z.tuple([token, z.string()])),
    steps: z.array(stepSchema),
    /** Steps behind those that were kept. */
    stepsLeftOut: count,
    stats: z.object({ tokens: count, passes: count, mat: amount, prefillMs: amount, decodeMs: amount }),
  })
  .superRefine(({ drafters, steps }, context) => {
    const most = 2 ** drafters.length;
    for (const [i, { sources }] of steps.entries()) {
      const node = sources.findIndex((bits) => bits >= most);
      if (node < 0) continue;
      const message = `is ${sources[node]}; drafters has ${drafters.length} names, so give a number below ${most}`;
      context.addIssue({ code: "custom", path: ["steps", i, "sources", node], message });
      return;
    }
  });

export type Trace = z.infer<typeof traceSchema>;
export type TraceStep = Trace["steps"][number];

interface Fault {
  readonly path: (string | number)[];
  readonly message: string;
}

/** Why the lists of a step are no tree with a path. */
function faultOf({ tokens, parents, probs, sources, path }: z.input<typeof stepSchema>): Fault | undefined {
  for (const [name, list] of Object.entries({ parents, probs, sources })) {
    if (list.length !== tokens.length)
      return { path: [name], message: `has ${list.length} entries and tokens has ${tokens.length}` };
  }
  for (const [node, parent] of parents.entries()) {
    if (node === 0 ? parent === -1 : parent >= 0 && parent < node) continue;
    const right = node === 0 ? "-1, the root has no parent" : `a node from 0 to ${node - 1}`;
    return { path: ["parents", node], message: `is ${parent}; give ${right}` };
  }
  for (const [i, node] of path.entries()) {
    if (i === 0 ? node === 0 : parents[node] === path[i - 1]) continue;
    const right = i === 0 ? "0, the root" : `a child of node ${path[i - 1]}`;
    return { path: ["path", i], message: `is ${node}; give ${right}` };
  }
  return undefined;
}
