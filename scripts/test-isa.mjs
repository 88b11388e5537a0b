/**
 * @file Does every instruction set compute the same bits? Builds test/native/same-bits.c with the engine, runs it and
 * compares the checksums of every instruction set with those of the portable one: all that this CPU has, AVX-VNNI with an
 * emulated instruction where it has not, and with `--arm64` those of arm64, in QEMU. Needs a C compiler (CC, or `cc`);
 * for arm64 aarch64-linux-gnu-gcc or zig, and qemu-user, without which that part is left out and says so.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compile, compilerFrom, engineSources, native, run } from "./native-sources.mjs";

const { values: options } = parseArgs({ options: { arm64: { type: "boolean" } } });
const tests = join(native, "..", "test", "native");
const files = [...engineSources, join(tests, "same-bits.c")];
const reference = "generic";

const works = ([command, ...first]) => spawnSync(command, [...first, "--version"]).status === 0;

async function link(compiler, objects, out, flags = []) {
  const program = join(out, "same-bits");
  await run(compiler, [...flags, ...objects, "-lm", "-pthread", "-o", program]);
  return program;
}

/** Instruction set -> part -> checksum; no parts where the CPU has not got it. */
async function checksums(program, emulator = []) {
  const { stdout } = await run([...emulator, program], []);
  const table = new Map();
  for (const line of stdout.trim().split("\n")) {
    const [isa, part, checksum] = line.split("\t");
    if (!table.has(isa)) table.set(isa, new Map());
    if (checksum) table.get(isa).set(part, checksum);
  }
  return table;
}

let failed = false;
const say = (where, isa, what) => console.log(`${where.padEnd(16)}${isa.padEnd(14)}${what}`);

/** Prints what came out for each instruction set, held against the truth. */
function compare(truth, table, where) {
  for (const [isa, parts] of table) {
    const different = [...truth]
      .filter(([part, checksum]) => parts.get(part) !== checksum)
      .map(([part]) => part);
    const differs = parts.size > 0 && (different.length > 0 || parts.size !== truth.size);
    failed ||= differs;
    say(
      where,
      isa,
      parts.size === 0 ? "not here" : differs ? `DIFFERS in ${different.join(", ")}` : "same bits",
    );
  }
}

async function testHere() {
  const compiler = compilerFrom(process.env.CC ?? "cc");
  const out = join(native, "build", "isa");
  const objects = await compile({ compiler, arch: process.arch, files, out });
  const table = await checksums(await link(compiler, objects, out));
  const truth = table.get(reference);
  console.log(`${truth.size} parts: ${[...truth.keys()].join(", ")}\n`);
  compare(truth, table, process.arch);
  if (table.get("avxvnni")?.size === 0 && table.get("avx2").size > 0) {
    const own = await compile({
      compiler,
      arch: "any",
      files: [join(native, "isa_avxvnni.c")],
      out: join(out, "emulated"),
      flags: ["-mavx2", "-mfma", "-mf16c", "-include", join(tests, "emulated-vnni.h")],
    });
    const others = objects.filter((object) => !object.endsWith("isa_avxvnni.o"));
    const all = await checksums(await link(compiler, [...others, ...own], join(out, "emulated")));
    compare(truth, new Map([["avxvnni", all.get("avxvnni")]]), "x64, emulated");
  }
  return truth;
}

async function testArm64(truth) {
  const zig = ["cc", "-target", "aarch64-linux-musl"];
  const compilers = [["aarch64-linux-gnu-gcc"], ["zig", ...zig], ["python3", "-m", "ziglang", ...zig]];
  const compiler = compilers.find(works);
  const emulator = [["qemu-aarch64-static"], ["qemu-aarch64"]].find(works);
  if (!compiler || !emulator) {
    const missing = compiler
      ? "qemu-user (qemu-aarch64)"
      : "a compiler for it (aarch64-linux-gnu-gcc, or zig)";
    console.log(`arm64 is left out: there is no ${missing}`);
    return;
  }
  const out = join(native, "build", "isa-arm64");
  const objects = await compile({ compiler, arch: "arm64", files, out });
  compare(truth, await checksums(await link(compiler, objects, out, ["-static"]), emulator), "arm64, QEMU");
}

const truth = await testHere();
if (options.arm64) await testArm64(truth);
process.exitCode = failed ? 1 : 0;
