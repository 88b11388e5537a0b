/**
 * @file Compiles the engine with the system's C compiler (CC, or `cc`) and CFLAGS into native/build/espalier.node, or
 * into the folder that ESPALIER_BUILD names (see ESPALIER_NATIVE in src/engine/binding.ts).
 */
import { renameSync } from "node:fs";
import { join, resolve } from "node:path";
import { compile, compilerFrom, native, nodeFlags, run, sources } from "./native-sources.mjs";

const build = process.env.ESPALIER_BUILD ? resolve(process.env.ESPALIER_BUILD) : join(native, "build");
const compiler = compilerFrom(process.env.CC ?? "cc");
const extra = (process.env.CFLAGS ?? "").split(" ").filter(Boolean);

try {
  const objects = await compile({
    compiler,
    arch: process.arch,
    files: sources,
    out: build,
    flags: [...nodeFlags(process.platform), ...extra],
  });
  const shared =
    process.platform === "darwin" ? ["-bundle", "-undefined", "dynamic_lookup"] : ["-shared", "-pthread"];
  // Linked beside its place and moved there, so that a running program never sees half a file.
  const fresh = join(build, `espalier.${process.pid}.node`);
  await run(compiler, [...shared, ...extra, ...objects, "-lm", "-o", fresh]);
  renameSync(fresh, join(build, "espalier.node"));
} catch (error) {
  const reason =
    error.code === "ENOENT"
      ? `there is no C compiler "${compiler.join(" ")}"`
      : (error.stderr ?? error.message);
  console.error(`The engine could not be built: ${reason}`);
  console.error(
    "Install a C11 compiler (Debian: apt install build-essential; macOS: xcode-select --install) or set CC.",
  );
  process.exit(1);
}
