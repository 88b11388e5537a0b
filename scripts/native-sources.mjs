/**
 * @file What the engine is compiled from: `native/*.c`, with flags for all of them and flags of each instruction set's file.
 * Which instruction set runs is chosen when the program starts.
 */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { devNull } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const native = join(dirname(fileURLToPath(import.meta.url)), "..", "native");
export const sources = readdirSync(native)
  .filter((name) => name.endsWith(".c"))
  .map((name) => join(native, name));
/** Without Node's side. */
export const engineSources = sources.filter((file) => !/addon\w*\.c$/.test(file));

/** A command with its first arguments, as in CC="zig cc". */
export const compilerFrom = (words) => words.split(" ").filter(Boolean);

const common = [
  "-std=gnu11",
  "-O3",
  "-g",
  "-fPIC",
  "-Wall",
  "-Wextra",
  // One operation, one rounding: rows must have the same bits on every instruction set.
  "-ffp-contract=off",
  "-fno-math-errno",
  "-fvisibility=hidden",
];

const avx2 = ["-mavx2", "-mfma", "-mf16c"];
const avx512 = ["f", "bw", "vl", "dq", "vnni"].map((part) => `-mavx512${part}`);
/** Flags of an instruction set's file: the first set that the compiler knows. With none of them the file leaves its instruction set out. */
const instructionSets = {
  x64: {
    "isa_avx2.c": [avx2],
    "isa_avxvnni.c": [[...avx2, "-mavxvnni"]],
    "isa_avx512vnni.c": [[...avx512, "-mf16c", "-mprefer-vector-width=512"]],
  },
  arm64: { "isa_dotprod.c": [["-march=armv8.2-a+dotprod"], ["-mcpu=generic+dotprod"]] }, // gcc and clang, zig
};

/** Flags for Node's side, native/addon*.c, on a platform as Node names it. */
export function nodeFlags(platform) {
  const { include_dir } = createRequire(import.meta.url)("node-api-headers");
  const imports = platform === "win32" ? ["-DNAPI_EXTERN=__declspec(dllimport)"] : []; // see native/node_windows.c
  return ["-DNAPI_VERSION=8", `-I${include_dir}`, ...imports];
}

export async function run([command, ...first], args) {
  return await promisify(execFile)(command, [...first, ...args], { maxBuffer: 1 << 26 });
}

async function accepts(compiler, flags) {
  try {
    await run(compiler, [...flags, "-E", "-x", "c", devNull]);
    return true;
  } catch {
    return false;
  }
}

async function flagsOf(compiler, arch, file, complete) {
  const choices = instructionSets[arch]?.[basename(file)] ?? [];
  for (const flags of choices) {
    if (await accepts(compiler, flags)) return flags;
  }
  if (complete && choices.length > 0) throw new Error(`the compiler does not know ${choices[0].join(" ")}`);
  return [];
}

/**
 * Compiles files for an architecture ("x64", "arm64" or another); gives the paths of the objects. With `complete` it fails
 * rather than leave an instruction set out.
 */
export async function compile({ compiler, arch, files, out, flags = [], complete = false }) {
  mkdirSync(out, { recursive: true });
  return await Promise.all(
    files.map(async (file) => {
      const object = join(out, basename(file).replace(/\.c$/, ".o"));
      const own = await flagsOf(compiler, arch, file, complete);
      const { stderr } = await run(compiler, [...common, ...own, ...flags, "-c", file, "-o", object]);
      if (stderr) process.stderr.write(stderr);
      return object;
    }),
  );
}
