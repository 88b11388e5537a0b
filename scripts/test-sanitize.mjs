/**
 * @file Builds the engine with AddressSanitizer and UndefinedBehaviorSanitizer beside the usual build, and runs the
 * tests of the engine on it, damaged files and wrong arguments among them, less of the same where they are long. Linux with gcc: Node itself has no sanitizers, so the
 * libraries of those are loaded before it. Leaks are not looked for: Node frees little when it ends.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const build = join(root, "native", "build", "sanitize");
const compiler = process.env.CC ?? "cc";
const tests = [
  "same-bits",
  "native-arguments",
  "native-binding",
  "native-contract",
  "picks",
  "penalties",
  "native-async",
  "draft-beside",
  "native-lossless",
  "draft-head",
  "eagle",
  "measuring",
  "suffixes",
  "fuzz",
].map((name) => `test/${name}.test.ts`);

function library(name) {
  const path = execFileSync(compiler, [`-print-file-name=${name}`], { encoding: "utf8" }).trim();
  if (isAbsolute(path)) return path;
  console.error(`${compiler} has no ${name}: sanitizers need gcc on Linux; set CC`);
  process.exit(1);
}

/** Runs Node in the project's folder; a failure is the end. */
function node(args, env) {
  const { status } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  if (status !== 0) process.exit(status ?? 1);
}

const preload = [library("libasan.so"), library("libubsan.so")];
node(["scripts/build-native.mjs"], {
  ESPALIER_BUILD: build,
  // With -O3 the unrolled kernels take minutes to compile.
  CFLAGS: "-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer",
});
node(["node_modules/vitest/vitest.mjs", "run", ...tests, "src/datastore/datastore.test.ts"], {
  ESPALIER_NATIVE: join(build, "espalier.node"),
  ESPALIER_TESTS: "few",
  LD_PRELOAD: preload.join(" "),
  // A size that no machine has is refused by the engine, as without sanitizers.
  ASAN_OPTIONS: "detect_leaks=0:allocator_may_return_null=1",
  UBSAN_OPTIONS: "print_stacktrace=1",
});
