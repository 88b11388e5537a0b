/**
 * @file The cache that all Hugging Face programs share, with the layout of Python's huggingface_hub:
 *
 *     models--owner--repo/refs/main             the commit of a branch or tag
 *     models--owner--repo/snapshots/<commit>/…  files as the repository has them, links to
 *     models--owner--repo/blobs/<etag>          their contents
 */

import { randomUUID } from "node:crypto";
import { link, mkdir, readdir, readFile, rename, stat, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative } from "node:path";
import { isPiece, modelsFor } from "./hub-files.ts";
import { type HubName, isRepoPath } from "./hub-name.ts";
import type { Environment } from "./model-cache.ts";

const COMMIT = /^[0-9a-f]{40}$/;
const NO_LINKS = ["EPERM", "EACCES", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "UNKNOWN"];

/** Hugging Face's folder: HF_HOME, else `huggingface` in XDG_CACHE_HOME or `~/.cache`. */
export function hubHome(env: Environment): string {
  return (
    expanded(env.HF_HOME) ?? join(expanded(env.XDG_CACHE_HOME) ?? join(homedir(), ".cache"), "huggingface")
  );
}

/** The cache of repositories: HF_HUB_CACHE, else `hub` in Hugging Face's folder. */
export function hubFolder(env: Environment): string {
  return expanded(env.HF_HUB_CACHE) ?? expanded(env.HUGGINGFACE_HUB_CACHE) ?? join(hubHome(env), "hub");
}

export function isCommit(text: string): boolean {
  return COMMIT.test(text);
}

/** What huggingface_hub takes for yes. */
export function isTrue(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes((value ?? "").toUpperCase());
}

/** One repository's part of the cache. */
export class RepoCache {
  readonly folder: string;
  readonly #links: boolean;

  constructor(repo: string, env: Environment) {
    this.folder = join(hubFolder(env), `models--${repo.replace("/", "--")}`);
    this.#links = !isTrue(env.HF_HUB_DISABLE_SYMLINKS);
  }

  /** The path of the model, when it is here; by the commit that its revision had when something of it was last fetched. */
  async find(name: HubName): Promise<string | undefined> {
    const commit = isCommit(name.revision) ? name.revision : await this.#commitOf(name.revision);
    if (commit === undefined) return undefined;
    if (name.file !== undefined) return isPiece(name.file) ? undefined : await this.has(commit, name.file);
    const snapshot = join(this.folder, "snapshots", commit);
    const files = await readdir(snapshot, { recursive: true }).catch(() => [] as string[]);
    const paths = files.map((path) => ({ path: path.replaceAll("\\", "/"), bytes: undefined }));
    const fitting = modelsFor(name, paths);
    const [only, ...others] = fitting;
    if (only === undefined || others.length > 0 || isPiece(only.path)) return undefined;
    return await this.has(commit, only.path);
  }

  /** The path of a file of a commit, when it is here. */
  async has(commit: string, file: string): Promise<string | undefined> {
    const path = this.pathOf(commit, file);
    return (await isFile(path)) ? path : undefined;
  }

  pathOf(commit: string, file: string): string {
    if (!isCommit(commit) || !isRepoPath(file))
      throw new Error(`internal: ${file} of ${commit} has no place`);
    return join(this.folder, "snapshots", commit, ...file.split("/"));
  }

  /** Where the content with this ETag is, or would be. */
  blobOf(etag: string): string {
    return join(this.folder, "blobs", etag);
  }

  /** Shows a content as a file of a commit: by a link or, where there are no links, by moving it there. */
  async show(etag: string, commit: string, file: string): Promise<string> {
    const blob = this.blobOf(etag);
    const path = this.pathOf(commit, file);
    await mkdir(dirname(path), { recursive: true });
    const fresh = `${path}.${randomUUID()}`;
    const target = relative(dirname(path), blob);
    const done =
      (this.#links && (await possible(() => symlink(target, fresh, "file")))) ||
      (await possible(() => link(blob, fresh)));
    await rename(done ? fresh : blob, path);
    return path;
  }

  /** Notes the commit of a branch or tag. */
  async note(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.#commitOf(revision)) === commit) return;
    const path = this.#refOf(revision);
    const fresh = `${path}.${randomUUID()}.tmp`;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(fresh, commit);
    await rename(fresh, path);
  }

  async #commitOf(revision: string): Promise<string | undefined> {
    const text = await readFile(this.#refOf(revision), "utf8").catch(() => "");
    return isCommit(text.trim()) ? text.trim() : undefined;
  }

  #refOf(revision: string): string {
    return join(this.folder, "refs", ...revision.split("/"));
  }
}

/** False when this file system, or this user on Windows, may not have such links. */
async function possible(linked: () => Promise<void>): Promise<boolean> {
  try {
    await linked();
    return true;
  } catch (error) {
    if (NO_LINKS.includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}

function expanded(folder: string | undefined): string | undefined {
  if (!folder) return undefined;
  return folder.replace(/^~(?=[/\\]|$)/, homedir());
}
