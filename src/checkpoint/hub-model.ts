/** @file From the name of a model on a hub to its file: out of the shared cache, or downloaded into it. */

import { stat } from "node:fs/promises";
import { EspalierError } from "../errors.ts";
import { download } from "./download.ts";
import type { DownloadProgress } from "./download-progress.ts";
import { isTrue, RepoCache } from "./hub-cache.ts";
import { HubClient, type RemoteFile } from "./hub-client.ts";
import { chooseModel, isPiece, pieceError } from "./hub-files.ts";
import { type HubName, parseHubName } from "./hub-name.ts";
import type { Environment } from "./model-cache.ts";

/** What would be downloaded. */
export interface DownloadOffer {
  /** The model, as it was asked for. */
  readonly name: string;
  readonly bytes: number | undefined;
  /** Its licence by SPDX's name, where that is known. */
  readonly license: string | undefined;
  /** Address of the page or file. */
  readonly from: string;
  /** Folder on this machine. */
  readonly to: string;
}

export interface DownloadOptions {
  /** HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and their like, proxies, and the cache's place; default: the process's. */
  readonly env?: Environment | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onDownload?: ((progress: DownloadProgress) => void) | undefined;
  /** Called with a sentence about something that takes time or went wrong on the way. */
  readonly onNote?: ((note: string) => void) | undefined;
  /** Asked before the first byte; an answer of false throws "not-downloaded". Default: yes. */
  readonly allow?: ((offer: DownloadOffer) => boolean | Promise<boolean>) | undefined;
  /** Longest wait for the next byte, and the first wait before a request is made again, in ms. */
  readonly idleMs?: number | undefined;
  readonly retryMs?: number | undefined;
}

/** The path of a model that is in the cache. Throws EspalierError "bad-model-name". */
export async function findHubModel(name: string, env: Environment): Promise<string | undefined> {
  const wanted = parseHubName(name);
  return await new RepoCache(wanted.repo, env).find(wanted);
}

/**
 * The path of the model as the hub has it now, which is downloaded unless it is in the cache. Throws EspalierError
 * "bad-model-name", "file-not-found", "no-access", "disk-full", "not-downloaded" (with HF_HUB_OFFLINE) or "download-failed";
 * an abort throws the signal's reason.
 */
export async function fetchHubModel(name: string, options: DownloadOptions = {}): Promise<string> {
  const { env = process.env, signal, onNote } = options;
  const wanted = parseHubName(name);
  const cache = new RepoCache(wanted.repo, env);
  if (isTrue(env.HF_HUB_OFFLINE)) {
    const found = await cache.find(wanted);
    if (found !== undefined) return found;
    throw new EspalierError(
      "not-downloaded",
      `${name} is not in ${cache.folder}, and HF_HUB_OFFLINE forbids to download it`,
    );
  }
  await using hub = await HubClient.open({
    env,
    signal,
    idleMs: options.idleMs,
    retryMs: options.retryMs,
    onRetry: (reason) => onNote?.(`${name}: ${reason}; trying again`),
  });
  const remote = await locate(hub, wanted);
  const found = await cache.has(remote.commit, remote.path);
  if (found === undefined && !(await exists(cache.blobOf(remote.etag)))) {
    const offer = {
      name,
      bytes: remote.content.bytes,
      license: undefined,
      from: remote.url,
      to: cache.folder,
    };
    if (options.allow !== undefined && !(await options.allow(offer))) throw notDownloaded(name);
    await download(hub.http, remote.url, {
      name,
      path: cache.blobOf(remote.etag),
      content: remote.content,
      magic: "GGUF",
      signal,
      onProgress: options.onDownload,
      onNote,
    });
  }
  const path = found ?? (await cache.show(remote.etag, remote.commit, remote.path));
  // A cache that cannot be written to may still have the file.
  await cache.note(wanted.revision, remote.commit).catch(() => {});
  return path;
}

/** The error for a model that is not here and was not to be downloaded. */
export function notDownloaded(name: string): EspalierError {
  return new EspalierError(
    "not-downloaded",
    `${name} is not on this machine; "espalier fetch ${name}" downloads it, in the library { download: true }`,
  );
}

async function locate(hub: HubClient, wanted: HubName): Promise<RemoteFile> {
  const { repo, revision, file } = wanted;
  if (file !== undefined) {
    if (isPiece(file)) throw pieceError(repo, file, (await hub.list(repo, revision)).files);
    return await hub.locate(repo, revision, file);
  }
  const { commit, files } = await hub.list(repo, revision);
  return await hub.locate(repo, commit, chooseModel(wanted, files).path);
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
