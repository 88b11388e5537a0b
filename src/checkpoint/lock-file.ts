/**
 * @file A lock that is a file, so that programs sharing a cache do not download the same thing twice. Its holder keeps its
 * time of change fresh; one that stays old, or whose process on this machine is gone, is taken away. A holder that slept (a
 * closed lid) may so lose its lock without a notice: what the lock guards must bear two at once.
 */

import { randomUUID } from "node:crypto";
import { open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

const BEAT_MS = 5000;
const STALE_MS = 60_000;
const POLL_MS = 200;

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once when another program holds the lock. */
  readonly onWait?: (() => void) | undefined;
}

export class LockFile implements AsyncDisposable {
  readonly #path: string;
  readonly #owner: string;
  readonly #beat: NodeJS.Timeout;

  /** Waits until the lock at `path` is free, and takes it. Its folder must be there. */
  static async take(path: string, { signal, onWait }: LockOptions = {}): Promise<LockFile> {
    const owner = JSON.stringify({ host: hostname(), pid: process.pid, id: randomUUID() });
    for (let waits = 0; !(await create(path, owner)); waits++) {
      if (await isStale(path)) {
        await rm(await movedAway(path), { force: true });
        continue;
      }
      if (waits === 0) onWait?.();
      await sleep(POLL_MS, undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
    }
    return new LockFile(path, owner);
  }

  private constructor(path: string, owner: string) {
    this.#path = path;
    this.#owner = owner;
    this.#beat = setInterval(() => void beat(path), BEAT_MS);
    this.#beat.unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#beat);
    const owner = await readFile(this.#path, "utf8").catch(() => "");
    if (owner === this.#owner) await rm(this.#path, { force: true });
  }
}

async function create(path: string, owner: string): Promise<boolean> {
  try {
    await using file = await open(path, "wx");
    await file.writeFile(owner);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function isStale(path: string): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(path);
    return Date.now() - mtimeMs > STALE_MS || isDead(await readFile(path, "utf8"));
  } catch {
    // Gone meanwhile.
    return false;
  }
}

function isDead(owner: string): boolean {
  let parsed: { host?: unknown; pid?: unknown };
  try {
    parsed = JSON.parse(owner) as typeof parsed;
  } catch {
    // Not written to its end yet.
    return false;
  }
  if (parsed?.host !== hostname() || !Number.isSafeInteger(parsed.pid)) return false;
  try {
    process.kill(parsed.pid as number, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** Under a name of its own, so that of several programs one takes it away. */
async function movedAway(path: string): Promise<string> {
  const away = `${path}.${randomUUID()}`;
  await rename(path, away).catch(() => {});
  return away;
}

async function beat(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => {});
}
