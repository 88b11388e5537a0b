/** @file From what a user calls a model to its file: a path, a name in the cache, a model on the hub, or one known by name. */

import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { EspalierError } from "../errors.ts";
import { embeddedModel, embeddedPath } from "./embedded.ts";
import {
  type DownloadOffer,
  type DownloadOptions,
  fetchHubModel,
  findHubModel,
  notDownloaded,
} from "./hub-model.ts";
import { isHubName } from "./hub-name.ts";
import { cachedModelPath, cachedModels, type Environment, modelFolder } from "./model-cache.ts";
import { misspelt } from "./nearest.ts";
import { fetchSmollm2, smollm2 } from "./smollm2.ts";

export interface FindOptions extends Omit<DownloadOptions, "allow"> {
  /**
   * Whether a model that is not on this machine may be downloaded; a function is asked before each download. Default: models
   * that are named as on the hub (`hf:…`) may, others may not.
   */
  readonly download?: boolean | ((offer: DownloadOffer) => boolean | Promise<boolean>) | undefined;
}

/**
 * The path of a model given that path, the name of an embedded model, a name in the cache, or a name on the hub; a file at the path comes
 * first. Throws
 * EspalierError "file-not-found", which lists the names there are; "not-downloaded"; or why a download failed, as
 * {@link fetchHubModel} does.
 */
export async function findModel(nameOrPath: string, options: FindOptions = {}): Promise<string> {
  const { env = process.env, download = isHubName(nameOrPath) } = options;
  const allow = typeof download === "function" ? download : () => download;
  if (isHubName(nameOrPath)) {
    const found = await findHubModel(nameOrPath, env);
    if (found !== undefined) return found;
    if (download === false) throw notDownloaded(nameOrPath);
    return await fetchHubModel(nameOrPath, { ...options, allow });
  }
  if (await isFile(nameOrPath)) return nameOrPath;
  const embedded = embeddedPath(nameOrPath);
  if (embedded !== undefined) return embedded;
  const isName = nameOrPath !== "" && basename(nameOrPath) === nameOrPath;
  const cached = cachedModelPath(nameOrPath, env);
  if (isName && (await isFile(cached))) return cached;
  if (nameOrPath !== smollm2.name) throw await unknown(nameOrPath, env);
  const { name, bytes, license, page } = smollm2;
  if (!(await allow({ name, bytes, license, from: page, to: dirname(cached) }))) throw notDownloaded(name);
  return await fetchSmollm2(options);
}

/**
 * Like {@link findModel}, but downloads whatever may be downloaded, and asks the hub whether it has a newer state of a branch.
 */
export async function fetchModel(nameOrPath: string, options: DownloadOptions = {}): Promise<string> {
  return isHubName(nameOrPath)
    ? await fetchHubModel(nameOrPath, options)
    : await findModel(nameOrPath, { ...options, download: true });
}

async function unknown(nameOrPath: string, env: Environment): Promise<EspalierError> {
  const names = await cachedModels(env);
  const listed = names.length === 0 ? "no models are there" : `models there: ${names.join(", ")}`;
  const meant = misspelt(nameOrPath, [...new Set([...names, smollm2.name, embeddedModel])]);
  return new EspalierError(
    "file-not-found",
    `no model ${JSON.stringify(nameOrPath)}: it is neither a file nor the name of a model in ${modelFolder(env)} (${listed})` +
      (names.length > 0 ? "" : `; "espalier fetch ${smollm2.name}" gets a small one`) +
      "; hf:owner/repo:Q4_K_M names one of the Hugging Face hub" +
      (meant === undefined ? "" : `; did you mean ${meant}?`),
  );
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}
