/** @file A store's file that loses its pages during a query, in C: see test/native/mapping.c. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const sources = ["test/native/mapping.c", "native/mapping.c", "native/memory.c"].map((file) =>
  join(root, file),
);

test.skipIf(process.platform === "win32")("a page that cannot be read does not end the process", () => {
  const folder = mkdtempSync(join(tmpdir(), "espalier-mapping-"));
  try {
    const program = join(folder, "mapping");
    const file = join(folder, "file");
    const flags = ["-std=gnu11", "-O2", "-pthread", `-I${join(root, "native")}`];
    execFileSync(process.env.CC ?? "cc", [...flags, ...sources, "-o", program]);
    writeFileSync(file, Buffer.alloc(1 << 20, 7));
    expect(execFileSync(program, [file], { encoding: "utf8" })).toBe("");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
