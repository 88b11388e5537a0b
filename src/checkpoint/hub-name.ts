/**
 * @file Names of models on a hub: `hf:owner/repo/folder/file.gguf`, `hf:owner/repo:Q4_K_M` and `hf:owner/repo` for a
 * repository with one model, each with a revision as `owner/repo@revision`. Everything that is in a parsed name is safe to
 * become a part of a path or of an address.
 */

import { EspalierError } from "../errors.ts";

export interface HubName {
  /** `owner/repo`. */
  readonly repo: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
  /** Path of the file in the repository; or else which one of its models. */
  readonly file?: string;
  /** The word for the kind of weights that the file's name carries, such as Q4_K_M; case does not count. */
  readonly quant?: string;
}

const FORMS =
  "give hf:owner/repo/file.gguf or hf:owner/repo:Q4_K_M; a revision goes behind the repository, as in hf:owner/repo@main:Q4_K_M";
const PART = /^[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?$/;
const REVISION = /^[A-Za-z0-9_][\w.+-]*$/;
const QUANT = /^[A-Za-z0-9][\w.-]*$/;

export function isHubName(name: string): boolean {
  return name.startsWith("hf:");
}

/** Throws EspalierError "bad-model-name", which says what is wrong with the name and how one looks. */
export function parseHubName(name: string): HubName {
  const wrong = (what: string) =>
    new EspalierError("bad-model-name", `"${printable(name)}" names no model on the hub: ${what}; ${FORMS}`);
  // Only these revisions may have slashes; in others a slash is written as %2F.
  const [, owner = "", repo = "", marked, rest = ""] =
    /^hf:(?:\/\/)?([^/:@]*)\/?([^/:@]*)(?:@(refs\/(?:pr\/\d+|convert\/[\w.-]+)|[^/:]*))?(.*)$/s.exec(name) ??
    [];
  if (!isPart(owner)) throw wrong("its owner is missing or has characters that no owner has");
  if (!isPart(repo)) throw wrong("its repository is missing or has characters that no repository has");
  const revision = marked === undefined ? "main" : decoded(marked);
  if (revision === undefined || !isRevision(revision))
    throw wrong("its revision has characters that none has");

  const base = { repo: `${owner}/${repo}`, revision };
  if (rest === "") return base;
  if (/@[^/]*$/.test(rest)) throw wrong("its revision is at the wrong place");
  const text = rest.slice(1);
  if (rest.startsWith(":")) {
    if (!QUANT.test(text)) throw wrong("what stands behind the colon is no kind of weights");
    return { ...base, quant: text };
  }
  if (!isRepoPath(text)) throw wrong("its file has characters that no file should have");
  if (!text.toLowerCase().endsWith(".gguf"))
    throw wrong("its file does not end with .gguf, and no other kind can be read");
  return { ...base, file: text };
}

/**
 * True for a path in a repository that may be joined to a folder of this machine, whatever its system: no way upwards, no
 * drive, no empty part, no character that a terminal would obey.
 */
export function isRepoPath(path: string): boolean {
  return (
    path.length <= 1024 &&
    !/[\\:*?"<>|\p{Cc}\p{Cf}]/u.test(path) &&
    path.split("/").every((part) => part !== "" && !/^\.+$/.test(part) && !/[ .]$/.test(part))
  );
}

/** `text` from elsewhere, in a form that fits in a line of a message. */
export function printable(text: string): string {
  const plain = text.replaceAll(/[\p{Cc}\p{Cf}]+/gu, " ").trim();
  return plain.length <= 300 ? plain : `${plain.slice(0, 299)}…`;
}

function isPart(part: string): boolean {
  return part.length <= 96 && PART.test(part) && !/--|\.\./.test(part);
}

function isRevision(revision: string): boolean {
  return (
    revision.length <= 256 &&
    !revision.includes("..") &&
    revision.split("/").every((part) => REVISION.test(part))
  );
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
