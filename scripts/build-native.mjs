/**
 * @file Compiles the engine: `native/*.c` with the system's C compiler (CC, or `cc`) and CFLAGS into
 * native/build/espalier.node, or into the folder that ESPALIER_BUILD names (see ESPALIER_NATIVE in src/engine/binding.ts).
 * Each instruction set is one file compiled with its own flags; which one runs is chosen when the program starts.
 */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const native = join(dirname(fileURLToPath(import.meta.url)), "..", "native");
const build = process.env.ESPALIER_BUILD ? resolve(process.env.ESPALIER_BUILD) : join(native, "build");
const compiler = process.env.CC ?? "cc";
const extra = (process.env.CFLAGS ?? "").split(" ").filter(Boolean);
const { include_dir } = createRequire(import.meta.url)("node-api-headers");
const run = promisify(execFile);

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
  "-DNAPI_VERSION=8",
  `-I${include_dir}`,
  ...extra,
];
const x64 = {
  "isa_avx2.c": ["-mavx2", "-mfma", "-mf16c"],
  "isa_avx512vnni.c": [
    ...["f", "bw", "vl", "dq", "vnni"].map((part) => `-mavx512${part}`),
    "-mf16c",
    "-mprefer-vector-width=512",
  ],
};
const special = process.arch === "x64" ? x64 : {};

mkdirSync(build, { recursive: true });
const sources = readdirSync(native).filter((name) => name.endsWith(".c"));
try {
  const objects = await Promise.all(
    sources.map(async (name) => {
      const object = join(build, name.replace(/\.c$/, ".o"));
      const { stderr } = await run(compiler, [
        ...common,
        ...(special[name] ?? []),
        "-c",
        join(native, name),
        "-o",
        object,
      ]);
      if (stderr) process.stderr.write(stderr);
      return object;
    }),
  );
  const shared =
    process.platform === "darwin" ? ["-bundle", "-undefined", "dynamic_lookup"] : ["-shared", "-pthread"];
  // Linked beside its place and moved there, so that a running program never sees half a file.
  const fresh = join(build, `espalier.${process.pid}.node`);
  await run(compiler, [...shared, ...extra, ...objects, "-lm", "-o", fresh]);
  renameSync(fresh, join(build, "espalier.node"));
} catch (error) {
  const reason =
    error.code === "ENOENT" ? `there is no C compiler "${compiler}"` : (error.stderr ?? error.message);
  console.error(`The engine could not be built: ${reason}`);
  console.error(
    "Install a C11 compiler (Debian: apt install build-essential; macOS: xcode-select --install) or set CC.",
  );
  process.exit(1);
}
