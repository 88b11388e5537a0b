/**
 * @file Finds and loads the compiled engine: the one that was built here (`npm run build:native`), else the one that the package
 * carries for this platform. What was built here was wanted, so it is never passed over in silence.
 */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { EspalierError } from "../errors.ts";

export interface NativeFileOptions {
  /** The package's folder. */
  readonly root?: string;
  /** A folder of `prebuilds/`. */
  readonly platform?: string;
  /** The path of another build, to be used instead of all others. */
  readonly other?: string | undefined;
}

/** What the engine's file exports. Throws EspalierError "no-engine": what was looked for, why it failed and what to do. */
export function loadNativeFile(options: NativeFileOptions = {}): unknown {
  const { root = fileURLToPath(new URL("../../", import.meta.url)), other } = options;
  if (other) return load(other, (reason) => `ESPALIER_NATIVE is ${other}, which cannot be loaded: ${reason}`);
  const built = resolve(root, "native/build/espalier.node");
  const build = `node ${relative(process.cwd(), resolve(root, "scripts/build-native.mjs"))}`;
  if (existsSync(built)) {
    return load(
      built,
      (reason) =>
        `the engine that was built here cannot be loaded: ${reason}; build it again with \`${build}\`, or delete ${built}`,
    );
  }
  const platform = options.platform ?? platformName();
  const prebuilt = resolve(root, "prebuilds", platform, "espalier.node");
  const remedy = `build one for this machine with \`${build}\`, which needs a C compiler`;
  if (!existsSync(prebuilt)) {
    throw new EspalierError(
      "no-engine",
      `there is no engine for ${platform}, neither ${built} nor ${prebuilt}; ${remedy}`,
    );
  }
  return load(prebuilt, (reason) => `the engine for ${platform} cannot be loaded: ${reason}; ${remedy}`);
}

function load(path: string, message: (reason: string) => string): unknown {
  try {
    return createRequire(import.meta.url)(resolve(path));
  } catch (cause) {
    throw new EspalierError("no-engine", message((cause as Error).message), { cause });
  }
}

/** The name of this platform's folder in `prebuilds/`, such as "linux-x64" or "linux-arm64-musl". */
export function platformName(): string {
  const name = `${process.platform}-${process.arch}`;
  return process.platform === "linux" && !runsOnGlibc() ? `${name}-musl` : name;
}

/** Asks this process which C library it runs on: what lies on the disk may be another's. */
function runsOnGlibc(): boolean {
  const report = process.report as typeof process.report & { excludeNetwork: boolean };
  const { excludeNetwork } = report;
  report.excludeNetwork = true; // it would look up the names of whom this process talks with
  const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } };
  report.excludeNetwork = excludeNetwork;
  return header.glibcVersionRuntime !== undefined;
}
