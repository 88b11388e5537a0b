/**
 * @file Makes `npx espalier` run what was just built here. npm links a package's commands where it is installed, not where
 * it is developed; its fallback for that case keeps whatever it found the first time, even nothing.
 */

import { chmodSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
chmodSync(join(root, "dist/cli/main.js"), 0o755);
// Windows has no links that a shell runs; npm's fallback serves there.
if (process.platform !== "win32") {
  const commands = join(root, "node_modules/.bin");
  mkdirSync(commands, { recursive: true });
  rmSync(join(commands, "espalier"), { force: true });
  symlinkSync("../../dist/cli/main.js", join(commands, "espalier"));
}
