import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Kept } from "../draft/learnt.ts";
import { readState, writeState } from "./state-file.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-"));
});
afterAll(() => rm(folder, { recursive: true }));

const FINGERPRINT = "a1".repeat(32);
const SOME: Kept = new Map<string, Int32Array | Float64Array>([
  ["recycle.matrix", Int32Array.from({ length: 320 }, (_, i) => i * 7 - 1)],
  ["some.odds", Float64Array.of(0.1, 1 / 3, 1e-300)],
  ["nothing", new Float64Array(0)],
]);

/** `bytes` with the checksum that they should have. */
function signed(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
  return bytes;
}

describe("state file", () => {
  it("comes back as it was written, over an older file too, and leaves nothing else behind", async () => {
    const file = join(folder, "state");
    await writeState(file, FINGERPRINT, new Map([["older", Int32Array.of(1)]]));
    await writeState(file, FINGERPRINT, SOME);
    expect(await readState(file, FINGERPRINT)).toEqual(SOME);
    expect(await readdir(folder)).toEqual(["state"]);
  });

  it.skipIf(process.platform === "win32")("is for its user's eyes alone", async () => {
    const file = join(folder, "state");
    await writeState(file, FINGERPRINT, SOME);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it("refuses every damaged byte and every cut", async () => {
    await writeState(join(folder, "state"), FINGERPRINT, SOME);
    const whole = await readFile(join(folder, "state"));
    const damaged = join(folder, "damaged");
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x10;
      for (const wrong of [bytes, whole.subarray(0, at)]) {
        await writeFile(damaged, wrong);
        await expect(readState(damaged, FINGERPRINT)).rejects.toMatchObject({ code: "bad-state" });
      }
    }
    await writeFile(damaged, Buffer.concat([whole, Buffer.of(0)]));
    await expect(readState(damaged, FINGERPRINT)).rejects.toMatchObject({ code: "bad-state" });
  });

  it.each([
    ["a kind that there is not", 40, 2, "no known kind"],
    ["more numbers than the file has", 44, 0xffff_ffff, "ends within a memory"],
    ["a few too many", 44, 900, "ends within a memory"],
    ["a name of no letters", 48, 0, "no known kind"],
    ["a name without end", 48, 0xffff_fff0, "no known kind"],
    ["an older version", 4, 1, "version 1, this program reads 2; give another file, or delete it"],
  ])("refuses %s under a checksum that is right", async (_, at, value, message) => {
    await writeState(join(folder, "state"), FINGERPRINT, SOME);
    const bytes = await readFile(join(folder, "state"));
    bytes.writeUInt32LE(value, at);
    const file = join(folder, "hostile");
    await writeFile(file, signed(bytes));
    await expect(readState(file, FINGERPRINT)).rejects.toMatchObject({ code: "bad-state" });
    await expect(readState(file, FINGERPRINT)).rejects.toThrow(message);
  });

  it("refuses another vocabulary's", async () => {
    await writeState(join(folder, "state"), "b2".repeat(32), SOME);
    await expect(readState(join(folder, "state"), FINGERPRINT)).rejects.toThrow("another vocabulary");
  });

  it("says when there is no file, or none can be read or written", async () => {
    await expect(readState(join(folder, "none"), FINGERPRINT)).rejects.toMatchObject({
      code: "file-not-found",
    });
    await expect(readState(folder, FINGERPRINT)).rejects.toMatchObject({ code: "file-unreadable" });
    await expect(writeState(join(folder, "none", "state"), FINGERPRINT, SOME)).rejects.toThrow("ENOENT");
  });
});
