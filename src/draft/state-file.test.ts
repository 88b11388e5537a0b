import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RecycleMatrix } from "./recycle.ts";
import { readState, writeState } from "./state-file.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-"));
});
afterAll(() => rm(folder, { recursive: true }));

function someMatrix(): RecycleMatrix {
  const matrix = new RecycleMatrix(40);
  for (let i = 80; i < 240; i++) matrix.rows[i] = (i * 7) % 40;
  return matrix;
}

describe("state file", () => {
  it("comes back as it was written, over an older file too, and leaves nothing else behind", async () => {
    const file = join(folder, "state");
    await writeState(file, new RecycleMatrix(40));
    await writeState(file, someMatrix());
    const matrix = new RecycleMatrix(40);
    await readState(file, matrix);
    expect(matrix.rows).toEqual(someMatrix().rows);
    expect(await readdir(folder)).toEqual(["state"]);
  });

  it("refuses every damaged byte and every cut, and keeps the matrix", async () => {
    const file = join(folder, "state");
    await writeState(file, someMatrix());
    const whole = await readFile(file);
    const damaged = join(folder, "damaged");
    const matrix = someMatrix();
    const cases = [0, 1, 15, 20, 500, whole.length - 1].map((at) => {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x10;
      return bytes;
    });
    for (const length of [0, 3, 19, whole.length - 1]) cases.push(whole.subarray(0, length));
    cases.push(Buffer.concat([whole, Buffer.of(0)]));
    for (const bytes of cases) {
      await writeFile(damaged, bytes);
      await expect(readState(damaged, matrix)).rejects.toMatchObject({ code: "bad-state" });
      expect(matrix.rows).toEqual(someMatrix().rows);
    }
  });

  it("refuses another model's state and tokens outside the vocabulary", async () => {
    const file = join(folder, "other");
    await writeState(file, new RecycleMatrix(41));
    await expect(readState(file, someMatrix())).rejects.toThrow("vocabulary of 41 tokens, the model has 40");
    const wild = someMatrix();
    wild.rows[100] = 40;
    await writeState(file, wild);
    await expect(readState(file, someMatrix())).rejects.toMatchObject({ code: "bad-state" });
  });

  it("says when there is no file, or none can be read or written", async () => {
    await expect(readState(join(folder, "none"), someMatrix())).rejects.toMatchObject({
      code: "file-not-found",
    });
    await expect(readState(folder, someMatrix())).rejects.toMatchObject({ code: "file-unreadable" });
    await expect(writeState(join(folder, "none", "state"), someMatrix())).rejects.toThrow("ENOENT");
  });
});
