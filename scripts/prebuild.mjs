/**
 * @file Compiles the engine for every platform that the package carries, with zig's C compiler, into
 * prebuilds/<platform>/espalier.node. The same sources and the same zig give the same bytes on any machine.
 *
 *   npm run prebuild [-- platform...]
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile, native, nodeFlags, run, sources } from "./native-sources.mjs";

/** The oldest systems that Node 20 runs on, or older. A name is that of a folder in `prebuilds/`; see src/engine/binding.ts. */
const targets = {
  "linux-x64": "x86_64-linux-gnu.2.17",
  "linux-x64-musl": "x86_64-linux-musl",
  "linux-arm64": "aarch64-linux-gnu.2.17",
  "linux-arm64-musl": "aarch64-linux-musl",
  "darwin-x64": "x86_64-macos.11.0",
  "darwin-arm64": "aarch64-macos.11.0",
  "win32-x64": "x86_64-windows-gnu",
};
const linking = {
  linux: ["-shared", "-pthread", "-Wl,--build-id=none"],
  darwin: ["-shared", "-Wl,-undefined,dynamic_lookup", "-Wl,-install_name,espalier.node"],
  win32: ["-shared"],
};

/* Where scripts are not ignored, npm also runs this before every `npm run build`, and nothing tells which of the two was asked for. */
if (process.env.npm_lifecycle_event === "prebuild" && process.env.npm_config_ignore_scripts !== "true") {
  console.log(
    "prebuild: nothing done, since npm's setting ignore-scripts is off; `node scripts/prebuild.mjs` builds",
  );
  process.exit(0);
}

const prebuilds = join(native, "..", "prebuilds");
const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(targets);
const unknown = names.find((name) => !(name in targets));
if (unknown) fail(`no platform "${unknown}"; there are ${Object.keys(targets).join(", ")}`);
const zig = findZig();
copyLicences();
for (const name of names) {
  try {
    await build(name);
  } catch (error) {
    fail(`${name}: ${error.stderr ?? error.message}`);
  }
}

async function build(name) {
  const [platform, arch] = name.split("-");
  const compiler = [...zig, "cc", "-target", targets[name]];
  const work = mkdtempSync(join(tmpdir(), "espalier-prebuild-"));
  try {
    const flags = [...nodeFlags(platform), "-Werror", "-g0"];
    const objects = await compile({ compiler, arch, files: sources, out: work, flags, complete: true });
    const made = join(work, "espalier.node");
    await run(compiler, [...linking[platform], "-s", ...objects, "-o", made]);
    const bytes = readFileSync(made);
    // The one thing that changes from one build to the next: the time, in a header of Windows.
    if (platform === "win32") bytes.writeUInt32LE(0, bytes.readUInt32LE(0x3c) + 8);
    mkdirSync(join(prebuilds, name), { recursive: true });
    writeFileSync(join(prebuilds, name, "espalier.node"), bytes);
    const sum = createHash("sha256").update(bytes).digest("hex");
    console.log(
      `${name.padEnd(16)} ${String(Math.round(bytes.length / 1024)).padStart(5)} KiB  sha256 ${sum}`,
    );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Of what zig links into the binaries: its own run-time library, and on Windows that of MinGW-w64. */
function copyLicences() {
  const environment = execFileSync(zig[0], [...zig.slice(1), "env"], { encoding: "utf8" });
  const lib = /"?lib_dir"?\s*[=:]\s*"([^"]+)"/.exec(environment)?.[1] ?? fail("zig env names no lib_dir");
  mkdirSync(prebuilds, { recursive: true });
  for (const [name, path] of [
    ["zig", "../LICENSE"],
    ["mingw-w64", "libc/mingw/COPYING"],
  ]) {
    writeFileSync(join(prebuilds, `LICENSE-${name}.txt`), readFileSync(join(lib, path)));
  }
}

/** The command that runs zig. */
function findZig() {
  for (const command of [["zig"], ["python3", "-m", "ziglang"]]) {
    try {
      execFileSync(command[0], [...command.slice(1), "version"], { stdio: "ignore" });
      return command;
    } catch {}
  }
  return fail("zig is needed: pip install ziglang, or https://ziglang.org/download");
}

function fail(message) {
  console.error(`prebuild: ${message}`);
  process.exit(1);
}
