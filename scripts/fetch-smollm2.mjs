// Fetches the test model into the user's cache folder: npm run fetch:smollm2. Works right after npm ci.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
if (!existsSync(command))
  spawnSync("npm", ["run", "build:ts"], { cwd: root, stdio: ["ignore", 2, 2], shell: true });

const { status } = spawnSync(process.execPath, [command, "fetch", "smollm2-135m"], { stdio: "inherit" });
process.exitCode = status ?? 1;
