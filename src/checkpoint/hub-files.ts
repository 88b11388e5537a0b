/** @file Which of a repository's files is the model that was asked for. */

import { EspalierError } from "../errors.ts";
import { megabytes } from "./download.ts";
import type { HubName } from "./hub-name.ts";
import { byLikeness } from "./nearest.ts";

export interface RepoFile {
  readonly path: string;
  readonly bytes: number | undefined;
}

const PIECE = /-\d{5}-of-\d{5}\.gguf$/i;
/** GGUF files that are no language model: parts for pictures and sound, statistics for quantisation. */
const OTHER = /(?:^|[^a-z])(?:mmproj|imatrix)(?:[^a-z]|$)/i;
/** More names than these make no message better. */
const LISTED = 24;

/** The files that fit the name; those of a split model come as one, by its first piece. */
export function modelsFor({ quant }: Pick<HubName, "quant">, files: readonly RepoFile[]): RepoFile[] {
  return files.filter(
    ({ path }) =>
      /\.gguf$/i.test(path) &&
      !OTHER.test(path) &&
      isFirst(path) &&
      (quant === undefined || carries(path, quant)),
  );
}

/**
 * The one file that fits the name. Throws EspalierError "file-not-found" or, when several fit or the model is in pieces,
 * "bad-model-name"; both list what there is.
 */
export function chooseModel(name: HubName, files: readonly RepoFile[]): RepoFile {
  const { repo, quant } = name;
  const fitting = modelsFor(name, files);
  const [first] = fitting;
  if (first === undefined) {
    const what = quant === undefined ? "no GGUF file of a model" : `no GGUF file with ${quant} in its name`;
    throw new EspalierError("file-not-found", `${repo} has ${what}; ${listed(quant ?? "", files)}`);
  }
  if (fitting.length > 1) {
    const which = `${fitting.length} models${quant === undefined ? "" : ` with ${quant} in their names`}`;
    throw new EspalierError(
      "bad-model-name",
      `${repo} has ${which}; name one as hf:${repo}/file.gguf: ${joined(fitting)}`,
    );
  }
  if (isPiece(first.path)) throw pieceError(repo, first.path, files);
  return first;
}

/** True for one of the files of a model that is split. */
export function isPiece(path: string): boolean {
  return PIECE.test(path);
}

export function pieceError(repo: string, path: string, files: readonly RepoFile[]): EspalierError {
  const whole = files.filter((file) => !isPiece(file.path));
  return new EspalierError(
    "bad-model-name",
    `${path} of ${repo} is a piece of a model in several files, which cannot be read; ${listed(path, whole)}`,
  );
}

/** What models a repository has, those most like `wanted` first. */
export function listed(wanted: string, files: readonly RepoFile[]): string {
  const models = new Map(modelsFor({}, files).map((file) => [file.path, file]));
  if (models.size === 0) return "there is no other";
  return `there are: ${joined(byLikeness(wanted, [...models.keys()]).map((path) => models.get(path)!))}`;
}

function joined(files: readonly RepoFile[]): string {
  const names = files
    .slice(0, LISTED)
    .map(({ path, bytes }) => (bytes === undefined ? path : `${path} (${megabytes(bytes)})`));
  return [...names, ...(files.length > LISTED ? [`and ${files.length - LISTED} more`] : [])].join(", ");
}

function isFirst(path: string): boolean {
  return !isPiece(path) || /-00001-of-\d{5}\.gguf$/i.test(path);
}

/** True when `quant` stands in the name as a word: Q4_K does not stand in Q4_K_M, nor Q4_0 in IQ4_0. */
function carries(path: string, quant: string): boolean {
  const word = quant.replaceAll(/[.]/g, "\\.");
  return new RegExp(`(?<![a-z0-9])${word}(?![a-z0-9_])`, "i").test(path.replace(/\.gguf$/i, ""));
}
