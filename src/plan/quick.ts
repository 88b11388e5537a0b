/**
 * @file Rough costs of passes within a quarter of a second, at a model's start: the fastest of a few, because other programs can only add to a time.
 */

import type { Target, TargetSequence } from "../target/target.ts";
import { CostCurve, type PassCosts, plausible } from "./cost.ts";
import { Lines } from "./lines.ts";
import { bushy, timePass } from "./measure.ts";

/** Rows whose passes tell the shape of the cost curve. */
const ROWS = [1, 2, 4, 8, 16, 32] as const;
/** Rounds of all of them; then the small ones alone, up to this number of rows, which are measured behind a long text, too. */
const FULL_ROUNDS = 2;
const USUAL_ROWS = 8;
/** Milliseconds that a model's start may be held up by passes on a short text, and by those behind a long one, which takes time to make. */
const SHORT_MS = 100;
const LONG_MS = 80;
/** The long text: tokens and bytes at most. */
const LONG = 2048;
const LONG_BYTES = 16 << 20;
/** Milliseconds of a plain pass that tells what tokens cost: of a slow model it goes through as many layers as that takes. */
const PART_MS = 1.5;
/** What a token can add to a plain pass, in parts of it, whatever a busy moment makes of that. */
const PER_TOKEN = { least: 1e-5, most: 2e-3 };

/** Milliseconds of passes by rows, and of each token of a text by rows where the target can tell. */
export async function quickPassTimes(target: Target): Promise<PassCosts> {
  const short = await shortTimes(target);
  const perToken = await tokenTimes(target, short[0]!.ms);
  return short.map(({ rows, ms }) => ({ rows, ms, perToken: perToken?.at(rows) ?? 0 }));
}

async function shortTimes(target: Target): Promise<PassCosts> {
  const rows = ROWS.filter((count) => count <= target.maxNodes);
  // No tree is deeper than it has nodes.
  const text = await target.createSequence({ capacity: rows.at(-1)! });
  const times = rows.map((count) => ({ rows: count, ms: Number.POSITIVE_INFINITY }));
  const late = deadline(SHORT_MS);
  try {
    for (let round = 0; !late(); round++) {
      // The large passes take most of the time, and drafts are rarely that large.
      for (const time of round < FULL_ROUNDS ? times : times.filter(({ rows }) => rows <= USUAL_ROWS)) {
        time.ms = Math.min(time.ms, await timePass(text, bushy(time.rows, target.vocabSize)));
        // A slow model is known by its first points.
        if (late() && time.rows > 1) break;
      }
    }
  } finally {
    await text[Symbol.asyncDispose]();
  }
  const measured = times.filter(({ ms }) => ms < Number.POSITIVE_INFINITY);
  if (measured.length === times.length) return times;
  // The rest goes on as straight as these say, until passes tell more.
  const curve = new CostCurve(measured);
  return rows.map((count) => ({ rows: count, ms: curve.ms(count) }));
}

/**
 * What a token adds to a pass, by rows: how much longer the first layers take behind a long text. Undefined where that cannot be measured.
 * `plainMs`: of a pass of one row on a short text.
 */
async function tokenTimes(target: Target, plainMs: number): Promise<Lines | undefined> {
  const layers = Math.min(target.layers - 1, Math.ceil((target.layers * PART_MS) / plainMs));
  const rows = ROWS.filter((count) => count <= USUAL_ROWS && count <= target.maxNodes);
  const room = rows.at(-1)!;
  const fitting = Math.floor(LONG_BYTES / ((target.layerTokenBytes ?? 1) * Math.max(1, layers)));
  const length = Math.min(LONG, fitting, target.contextLength - room);
  if (layers < 1 || length < 1) return undefined;
  const late = deadline(LONG_MS);
  await using short = await target.createSequence({ capacity: room });
  await using long = await target.createSequence({ capacity: length + room });
  if (!long.fill) return undefined;
  long.fill(layers, length);
  const texts = [short, long].map((text) => ({ text, times: rows.map((rows) => ({ rows, ms: Infinity })) }));
  do {
    for (const [i, count] of rows.entries()) {
      const tree = bushy(count, target.vocabSize);
      for (const { text, times } of texts)
        times[i]!.ms = Math.min(times[i]!.ms, await timeFirst(text, tree, layers));
    }
  } while (!late());
  const [without, behind] = texts.map(({ times }) => plausible(times));
  const tokens = target.attended?.(length, layers) ?? length;
  // No pass takes less for a token than one of fewer rows.
  let least = PER_TOKEN.least * plainMs;
  const perToken = rows.map((count, i) => {
    const ms = ((behind![i]! - without![i]!) * target.layers) / layers / tokens;
    least = Math.max(least, Math.min(ms, PER_TOKEN.most * plainMs * count));
    return least;
  });
  return new Lines(rows, perToken);
}

async function timeFirst(
  text: TargetSequence,
  tree: Parameters<TargetSequence["forward"]>[0],
  layers: number,
): Promise<number> {
  const start = performance.now();
  await text.forwardFirst(tree, layers);
  const ms = performance.now() - start;
  text.rollback();
  return ms;
}

function deadline(ms: number): () => boolean {
  const start = performance.now();
  return () => performance.now() - start > ms;
}
