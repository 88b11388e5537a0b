/** @file Which Espalier this is: the commit when it runs out of its repository, else the package's version. */

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { version } from "../engine/version.ts";

const root = join(import.meta.dirname, "../..");

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
