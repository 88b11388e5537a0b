/**
 * @file `npm run bench:peak`: how many 8-bit multiplications and additions this machine does a second with each instruction set, and
 * what part of that the engine's products reach with 8 rows. Peak and products alternate; figures are medians. Needs a C compiler.
 */

import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { compile, compilerFrom, engineSources, native, run } from "../../scripts/native-sources.mjs";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: String(availableParallelism()) },
    rounds: { type: "string", default: "25" },
  },
});
for (const [name, most] of [
  ["threads", 64],
  ["rounds", 101],
]) {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 1 || value > most) {
    process.stderr.write(`bench:peak: --${name} is ${values[name]}; give an integer from 1 to ${most}\n`);
    process.exit(1);
  }
}

const compiler = compilerFrom(process.env.CC ?? "cc");
const out = join(native, "build", "peak");
const program = join(out, "peak");
const files = [...engineSources, fileURLToPath(new URL("peak.c", import.meta.url))];
const objects = await compile({
  compiler,
  arch: process.arch,
  files,
  out,
  flags: [`-I${native}`],
});
await run(compiler, [...objects, "-lm", "-pthread", "-o", program]);
const { stdout } = await run([program], [values.threads, values.rounds]);

console.log(
  `${cpus()[0]?.model}, ${values.threads} threads, medians of ${values.rounds} rounds, 10^9 operations a second`,
);
console.log(
  "set".padEnd(12),
  "kind".padEnd(6),
  "peak".padStart(7),
  "8 rows".padStart(7),
  "share".padStart(7),
);
for (const line of stdout.trim().split("\n").filter(Boolean)) {
  const [isa, kind, peak, own, share] = line.split("\t");
  console.log(isa.padEnd(12), kind.padEnd(6), peak.padStart(7), own.padStart(7), `${share} %`.padStart(7));
}
