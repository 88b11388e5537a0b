/** @file Which Espalier this is: the package's version, and the commit when it runs out of its repository. */

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** The version of package.json, such as "0.1.0". */
export function version(): string {
  return (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
}

/** The commit, with "-dirty" behind it when files have changed since; elsewhere "v" and the version. */
export function commit(): string {
  if (!existsSync(join(root, ".git"))) return `v${version()}`;
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  try {
    const dirty = git("status", "--porcelain", "--untracked-files=no") !== "";
    return `${git("rev-parse", "HEAD")}${dirty ? "-dirty" : ""}`;
  } catch {
    return `v${version()}`;
  }
}
