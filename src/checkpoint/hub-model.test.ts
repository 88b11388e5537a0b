import { createHash } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { existsSync } from "node:fs";
import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { COMMIT, HubServer, describe as headersOf, sha256 } from "../../test/hub-server.ts";
import { type DownloadOptions, fetchHubModel, findHubModel } from "./hub-model.ts";

const NAME = "hf:owner/repo/model-Q4_K_M.gguf";
const FILE = "model-Q4_K_M.gguf";

let hub: HubServer;
let model: Buffer;
beforeEach(async () => {
  hub = await HubServer.start();
  model = hub.add(FILE);
});
afterEach(() => hub[Symbol.asyncDispose]());

function fetchModel(name = NAME, { env, ...more }: DownloadOptions = {}): Promise<string> {
  return fetchHubModel(name, { env: { ...hub.env, ...env }, retryMs: 1, ...more });
}

async function expectModel(path: string, content = model): Promise<void> {
  expect((await readFile(path)).equals(content)).toBe(true);
}

const blob = () => hub.blobOf(FILE);
const partial = () => `${blob()}.espalier.incomplete`;
const blobs = () => readdir(join(hub.cache, "blobs"));

/** Sends a part of the file from `from` on, and hangs up. */
function drop(response: ServerResponse, from: number, to: number, status = from > 0 ? 206 : 200): true {
  response.writeHead(status, {
    "content-length": model.length - from,
    ...(status === 206 && { "content-range": `bytes ${from}-${model.length - 1}/${model.length}` }),
  });
  response.write(model.subarray(from, to), () => response.destroy());
  return true;
}

describe("the shared cache", () => {
  test("has a downloaded file as huggingface_hub lays it out, and it comes once", async () => {
    const progress: number[] = [];
    const path = await fetchModel(NAME, {
      onDownload: ({ name, bytes, totalBytes }) => {
        expect([name, totalBytes]).toEqual([NAME, model.length]);
        progress.push(bytes);
      },
    });
    expect(path).toBe(join(hub.cache, "snapshots", COMMIT, FILE));
    await expectModel(path);
    expect(await readlink(path)).toBe(join("..", "..", "blobs", sha256(model)));
    expect(await readFile(join(hub.cache, "refs", "main"), "utf8")).toBe(COMMIT);
    expect(await blobs()).toEqual([sha256(model)]);
    expect([progress[0], progress.at(-1)]).toEqual([0, model.length]);
    expect(await findHubModel(NAME, hub.env)).toBe(path);
    expect(await fetchModel()).toBe(path);
    expect(hub.storageRequests).toHaveLength(1);
  });

  test("files in folders, revisions, and names with what addresses escape", async () => {
    const content = hub.add("a b/ü+#%.gguf");
    const path = await fetchModel(`hf:owner/repo@${COMMIT}/a b/ü+#%.gguf`);
    await expectModel(path, content);
    expect(await readlink(path)).toBe(join("..", "..", "..", "blobs", sha256(content)));
    expect(existsSync(join(hub.cache, "refs"))).toBe(false);
  });

  test("what huggingface_hub has brought is found without a network", async () => {
    await mkdir(join(hub.cache, "refs", "refs", "pr"), { recursive: true });
    await mkdir(join(hub.cache, "blobs"));
    await mkdir(join(hub.cache, "snapshots", COMMIT, "sub"), { recursive: true });
    await writeFile(blob(), model);
    await symlink(
      join("..", "..", "..", "blobs", sha256(model)),
      join(hub.cache, "snapshots", COMMIT, "sub", "m.Q8_0.gguf"),
    );
    await writeFile(join(hub.cache, "refs", "main"), COMMIT);
    await writeFile(join(hub.cache, "refs", "refs", "pr", "3"), COMMIT);
    const path = join(hub.cache, "snapshots", COMMIT, "sub", "m.Q8_0.gguf");
    for (const revision of ["", "@main", `@${COMMIT}`, "@refs/pr/3", "@refs%2Fpr%2F3"]) {
      for (const which of ["/sub/m.Q8_0.gguf", ":q8_0", ""]) {
        expect(await findHubModel(`hf:owner/repo${revision}${which}`, hub.env)).toBe(path);
      }
    }
    const env = { ...hub.env, HF_HUB_OFFLINE: "1" };
    expect(await fetchModel("hf:owner/repo:Q8_0", { env })).toBe(path);
    expect(await findHubModel("hf:owner/repo:Q4_0", env)).toBeUndefined();
    expect(await findHubModel("hf:owner/repo@other:Q8_0", env)).toBeUndefined();
    const failed = fetchModel("hf:owner/repo:Q4_0", { env });
    await expect(failed).rejects.toThrow(
      /hf:owner\/repo:Q4_0 is not in .*models--owner--repo, and HF_HUB_OFFLINE/,
    );
    await expect(failed).rejects.toMatchObject({ code: "not-downloaded" });
    expect(hub.hubRequests).toEqual([]);
  });

  test("HF_HUB_CACHE and XDG_CACHE_HOME place it", async () => {
    const { HF_HOME: _, ...env } = hub.env;
    const other = join(hub.folder, "other");
    const download = (more: Record<string, string>) => fetchHubModel(NAME, { env: { ...env, ...more } });
    expect(await download({ HF_HUB_CACHE: other })).toBe(
      join(other, "models--owner--repo", "snapshots", COMMIT, FILE),
    );
    expect(await download({ XDG_CACHE_HOME: other })).toBe(
      join(other, "huggingface", "hub", "models--owner--repo", "snapshots", COMMIT, FILE),
    );
  });

  test("without symbolic links the file is there all the same", async () => {
    const path = await fetchModel(NAME, { env: { HF_HUB_DISABLE_SYMLINKS: "1" } });
    expect((await lstat(path)).isFile()).toBe(true);
    await expectModel(path);
  });

  test("a new state of the branch comes; a content that is there already does not come again", async () => {
    const old = await fetchModel();
    hub.commit = COMMIT.replace("0", "f");
    const path = await fetchModel();
    expect(path).toBe(join(hub.cache, "snapshots", hub.commit, FILE));
    await expectModel(path);
    expect(hub.storageRequests).toHaveLength(1);
    expect(await findHubModel(NAME, hub.env)).toBe(path);
    expect(existsSync(old)).toBe(true);
  });

  test("a small file that git keeps itself is checked by git's hash", async () => {
    const oid = (content: Buffer) =>
      createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
    hub.onHub = (request, response) => {
      const headers = { "x-repo-commit": COMMIT, etag: `W/"${oid(model)}"`, "content-length": model.length };
      response.writeHead(200, headers).end(request.method === "HEAD" ? undefined : model);
      return true;
    };
    await expectModel(await fetchModel());
    expect(await blobs()).toEqual([oid(model)]);
  });
});

describe("which file", () => {
  test("a kind of weights, in any case; the only model of a repository", async () => {
    hub.add("mmproj-F16.gguf");
    hub.files.set("README.md", Buffer.from("# Model"));
    expect(await fetchModel("hf:owner/repo")).toMatch(/model-Q4_K_M.gguf$/);
    hub.add("model-Q4_K_S.gguf");
    hub.add("model-f16.gguf");
    expect(await fetchModel("hf:owner/repo:q4_k_m")).toMatch(/model-Q4_K_M.gguf$/);
    expect(await fetchModel("hf:owner/repo@main:F16")).toMatch(/model-f16.gguf$/);
  });

  test("several, none, or a split one: says what there is", async () => {
    hub.add("other/model-Q4_K_M.gguf");
    for (const piece of [1, 2]) hub.add(`big-Q8_0-0000${piece}-of-00002.gguf`);
    const several = fetchModel("hf:owner/repo:Q4_K_M");
    await expect(several).rejects.toMatchObject({ code: "bad-model-name" });
    await expect(several).rejects.toThrow(
      /has 2 models with Q4_K_M .* model-Q4_K_M.gguf \(0.3 MB\), other\/model-Q4_K_M.gguf/,
    );
    const none = fetchModel("hf:owner/repo:Q4_K");
    await expect(none).rejects.toMatchObject({ code: "file-not-found" });
    await expect(none).rejects.toThrow(/no GGUF file with Q4_K in its name; there are: .*model-Q4_K_M.gguf/);
    for (const split of ["hf:owner/repo:Q8_0", "hf:owner/repo/big-Q8_0-00001-of-00002.gguf"]) {
      const failed = fetchModel(split);
      await expect(failed).rejects.toMatchObject({ code: "bad-model-name" });
      await expect(failed).rejects.toThrow(/in several files, which cannot be read; there are: (?!.*big)/);
    }
  });

  test("nobody's paths leave the cache", async () => {
    const evil = [
      "../../evil-Q2_K.gguf",
      "a/../../evil-Q2_K.gguf",
      "/evil-Q2_K.gguf",
      "C:\\evil-Q2_K.gguf",
      "evil\u001b[2J-Q2_K.gguf",
    ];
    for (const path of evil) hub.files.set(path, model);
    await expect(fetchModel("hf:owner/repo:Q2_K")).rejects.toThrow(
      /no GGUF file with Q2_K .* there are: model-Q4_K_M.gguf \(/,
    );
    expect(hub.storageRequests).toEqual([]);
  });

  test.each([
    ["../../../../evil", '"0000000000000000000000000000000000000000"'],
    [COMMIT, '"../../../../evil"'],
    [COMMIT, '""'],
  ])("nor does commit %j with ETag %s", async (commit, etag) => {
    hub.onHub = (_, response) => {
      response.writeHead(200, { "x-repo-commit": commit, etag }).end();
      return true;
    };
    await expect(fetchModel()).rejects.toThrow(/does not tell commit and ETag .* seems to be no hub/);
    expect(existsSync(hub.cache)).toBe(false);
  });
});

describe("refusals", () => {
  const answering = (status: number, headers: Record<string, string> = {}) => {
    hub.onHub = (_, response) => {
      response.writeHead(status, headers).end();
      return true;
    };
  };

  test("no such repository, revision or file: near names", async () => {
    for (const [name, says] of [
      [
        "hf:owner/rep:Q4_K_M",
        /has no repository owner\/rep, or it is private and needs HF_TOKEN; with such a name there are: owner\/repo$/,
      ],
      ["hf:owner/repo@v2:Q4_K_M", /owner\/repo has no revision v2; there are: main, v1.0$/],
      [
        "hf:owner/repo/model.Q4_K_M.gguf",
        /has no file model.Q4_K_M.gguf at revision main; there are: model-Q4_K_M.gguf \(0.3 MB\)$/,
      ],
    ] as const) {
      await expect(fetchModel(name)).rejects.toThrow(says);
      await expect(fetchModel(name)).rejects.toMatchObject({ code: "file-not-found" });
    }
  });

  test.each([
    [
      401,
      { "x-error-code": "GatedRepo" },
      /owner\/repo is gated: accept its terms at .*\/owner\/repo and set HF_TOKEN/,
    ],
    [403, {}, /answered 403 Forbidden: owner\/repo needs a token/],
  ])("%d with %j", async (status, headers, says) => {
    answering(status, headers);
    await expect(fetchModel()).rejects.toThrow(says);
    await expect(fetchModel()).rejects.toMatchObject({ code: "no-access" });
  });

  test("a token that is not accepted, or cannot be one", async () => {
    answering(401, { "x-error-message": "Invalid credentials in Authorization header" });
    const failed = fetchModel(NAME, { env: { HF_TOKEN: "secret" } });
    await expect(failed).rejects.toThrow(/answered 401 Invalid credentials .*the token from HF_TOKEN/);
    await expect(failed).rejects.not.toThrow(/secret/);
    await expect(fetchModel(NAME, { env: { HF_TOKEN: "a\nb" } })).rejects.toMatchObject({
      code: "no-access",
    });
  });

  test("the user's no, before the first byte", async () => {
    const offers: unknown[] = [];
    const failed = fetchModel(NAME, { allow: (offer) => offers.push(offer) > 1 });
    await expect(failed).rejects.toMatchObject({ code: "not-downloaded" });
    expect(offers).toMatchObject([{ name: NAME, bytes: model.length, to: hub.cache }]);
    expect(hub.storageRequests).toEqual([]);
  });
});

describe("the token", () => {
  test.each([
    ["HF_TOKEN", (): Record<string, string> => ({ HF_TOKEN: " secret\n" })],
    ["the file of hf auth login", () => ({})],
  ])("from %s goes to the hub and not to the storage", async (_, env) => {
    await mkdir(hub.env.HF_HOME!, { recursive: true });
    await writeFile(join(hub.env.HF_HOME!, "token"), "secret\n");
    await fetchModel(NAME, { env: env() });
    expect(hub.hubRequests.every(({ authorization }) => authorization === "Bearer secret")).toBe(true);
    expect(hub.storageRequests.map(({ authorization }) => authorization)).toEqual([undefined]);
  });
});

describe("a connection that breaks", () => {
  test("goes on where it was, several times", async () => {
    const ends = [100_000, 200_000];
    hub.onStorage = (request, response) => {
      const from = Number(/\d+/.exec(request.headers.range ?? "0"));
      const to = ends.shift();
      return to !== undefined && drop(response, from, to);
    };
    const notes: string[] = [];
    await expectModel(await fetchModel(NAME, { onNote: (note) => notes.push(note) }));
    const [first, second, third] = hub.storageRequests.map(({ range }) => Number(/\d+/.exec(range ?? "0")));
    expect(first).toBe(0);
    expect(second).toBeGreaterThan(0);
    expect(third).toBeGreaterThan(second!);
    expect(notes).toHaveLength(2);
    expect(notes[0]).toMatch(/trying again$/);
  });

  test("is given up after five tries in vain; the next run goes on", async () => {
    hub.onStorage = (request, response) =>
      request.headers.range === undefined ? drop(response, 0, 150_000) : Boolean(response.destroy());
    const failed = fetchModel();
    await expect(failed).rejects.toThrow(/could not be downloaded after 0.1 MB: .*what has come is kept/);
    await expect(failed).rejects.toMatchObject({ code: "download-failed" });
    expect(hub.storageRequests.length).toBe(5 + 1);
    expect((await lstat(partial())).size).toBeGreaterThan(0);

    hub.onStorage = () => false;
    const bytes: number[] = [];
    await expectModel(await fetchModel(NAME, { onDownload: (progress) => bytes.push(progress.bytes) }));
    expect(bytes[0]).toBeGreaterThan(0);
    expect(hub.storageRequests.at(-1)!.range).toBe(`bytes=${bytes[0]}-`);
    expect(await blobs()).toEqual([sha256(model)]);
  });

  test.each([
    ["sends all of it again", 200, undefined],
    ["sends another part", 206, `bytes 5-299999/300000`],
    ["says that there is no such part", 416, undefined],
  ])("a server that %s", async (_, status, range) => {
    await mkdir(join(hub.cache, "blobs"), { recursive: true });
    await writeFile(partial(), model.subarray(0, 100_000));
    hub.onStorage = (request, response) => {
      if (request.headers.range === undefined) return false;
      response.writeHead(status, range === undefined ? {} : { "content-range": range });
      response.end(status === 200 ? model : model.subarray(5));
      return true;
    };
    await expectModel(await fetchModel());
  });

  test("damaged leavings come anew", async () => {
    await mkdir(join(hub.cache, "blobs"), { recursive: true });
    for (const old of [Buffer.alloc(100_000), Buffer.alloc(model.length), Buffer.alloc(model.length + 1)]) {
      await writeFile(partial(), old);
      await expectModel(await fetchModel());
      await rm(hub.cache, { recursive: true });
      await mkdir(join(hub.cache, "blobs"), { recursive: true });
    }
  });

  test.each([503, 429, 500])("%d passes", async (status) => {
    let left = 2;
    const busy = (_: unknown, response: ServerResponse) => {
      if (left-- <= 0) return false;
      response.writeHead(status, { "retry-after": "0" }).end();
      return true;
    };
    hub.onHub = busy;
    await expectModel(await fetchModel());
    left = 2;
    hub.onStorage = busy;
    await rm(hub.cache, { recursive: true });
    await expectModel(await fetchModel());
  });

  test("a server that wants to be left alone for long is", async () => {
    hub.onHub = (_, response) => {
      response.writeHead(429, { "retry-after": "3600" }).end();
      return true;
    };
    await expect(fetchModel()).rejects.toThrow(/answered 429 Too Many Requests$/);
    expect(hub.hubRequests).toHaveLength(1);
  });

  test("silence is not waited for for ever", async () => {
    let silent = true;
    hub.onStorage = (_, response) => {
      if (!silent) return false;
      silent = false;
      response.writeHead(200, { "content-length": model.length });
      response.write(model.subarray(0, 1000));
      return true;
    };
    await expectModel(await fetchModel(NAME, { idleMs: 100 }));
    expect(hub.storageRequests.at(-1)!.range).toBe("bytes=1000-");
  });
});

describe("what is not the file", () => {
  test.each([
    [
      "longer than announced",
      Buffer.concat([Buffer.from("GGUF"), Buffer.alloc(400_000)]),
      /is longer than the 300000 bytes/,
    ],
    [
      "another content",
      Buffer.concat([Buffer.from("GGUF"), Buffer.alloc(299_996)]),
      /300000 bytes with sha256 \w+, not/,
    ],
    [
      "a sign-in page",
      Buffer.from("<!DOCTYPE html>\n<title>Sign in"),
      /is no model: it begins with "<!DOCTYPE html> <title>Sign in"/,
    ],
  ])("%s", async (_, content, says) => {
    hub.onStorage = (_, response) => Boolean(response.write(content, () => response.end()) || true);
    const failed = fetchModel();
    await expect(failed).rejects.toThrow(says);
    await expect(failed).rejects.toMatchObject({ code: "download-failed" });
    expect(existsSync(blob())).toBe(false);
    hub.onStorage = () => false;
    await expectModel(await fetchModel());
  });

  test("a length that is not the announced one", async () => {
    hub.onStorage = (_, response) =>
      Boolean(response.writeHead(200, { "content-type": "text/html", "content-length": 5 }).end("hello"));
    await expect(fetchModel()).rejects.toThrow(
      /should have 300000 bytes, but 127.0.0.1:\d+ sends 5 \(text\/html\)/,
    );
  });

  test("a page instead of the hub's answers", async () => {
    hub.onHub = (_, response) =>
      Boolean(response.writeHead(200, { "content-type": "text/html" }).end("<html>"));
    await expect(fetchModel()).rejects.toThrow(/seems to be no hub; check HF_ENDPOINT/);
    await expect(fetchModel("hf:owner/repo:Q4_K_M")).rejects.toThrow(
      /with what is no JSON, so it seems to be no hub/,
    );
    for (const answer of ["null", "[]", '{"sha":"x","siblings":[]}', `{"sha":"${COMMIT}","siblings":7}`]) {
      hub.onHub = (_, response) => Boolean(response.end(answer) || true);
      await expect(fetchModel("hf:owner/repo:Q4_K_M")).rejects.toMatchObject({ code: "download-failed" });
    }
    hub.onHub = (_, response) =>
      Boolean(response.end(`{"sha":"${COMMIT}","siblings":[null,7,{},{"rfilename":7}]}`) || true);
    await expect(fetchModel("hf:owner/repo:Q4_K_M")).rejects.toMatchObject({ code: "file-not-found" });
  });

  test("an answer without an end", async () => {
    hub.onHub = (_, response) => {
      const more = () => response.write(" ".repeat(1 << 20), (error) => error || more());
      more();
      return true;
    };
    await expect(fetchModel("hf:owner/repo:Q4_K_M")).rejects.toThrow(/sends more than \d+ bytes/);
  });

  test("redirects in a circle, or to somewhere else than the web", async () => {
    hub.onStorage = (request, response) => Boolean(response.writeHead(302, { location: request.url! }).end());
    await expect(fetchModel()).rejects.toThrow(/redirects more than 10 times/);
    hub.onStorage = (_, response) =>
      Boolean(response.writeHead(302, { location: "file:///etc/passwd" }).end());
    await expect(fetchModel()).rejects.toThrow(/redirects to file:\/\/\/etc\/passwd/);
  });
});

describe("the disk", () => {
  test("too little room is said before the first byte", async () => {
    hub.onHub = (_, response) =>
      Boolean(
        response
          .writeHead(302, { ...headersOf(model), "x-linked-size": "900000000000000", location: hub.storage })
          .end(),
      );
    const failed = fetchModel();
    await expect(failed).rejects.toThrow(/needs 900000000.0 MB more, and .*blobs has room for/);
    await expect(failed).rejects.toMatchObject({ code: "disk-full" });
    expect(hub.storageRequests).toEqual([]);
  });

  test.skipIf(process.platform !== "linux")("a disk that becomes full is named", async () => {
    await mkdir(join(hub.cache, "blobs"), { recursive: true });
    await symlink("/dev/full", partial());
    await expect(fetchModel()).rejects.toMatchObject({ code: "disk-full" });
    expect(hub.storageRequests).toHaveLength(1);
  });

  test("a disk that becomes full on the way keeps what has come", async () => {
    const handle = await open(import.meta.filename);
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const write = prototype.write;
    const full = vi.spyOn(prototype, "write").mockImplementation(function (
      this: FileHandle,
      ...args: unknown[]
    ) {
      if ((args[3] as number) > 100_000)
        throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
      return Reflect.apply(write, this, args) as never;
    });
    const failed = fetchModel();
    await expect(failed).rejects.toMatchObject({ code: "disk-full" });
    await expect(failed).rejects.toThrow(
      /blobs is full after 0.\d MB of hf:.*what has come is kept, and the same again/,
    );
    full.mockRestore();
    const before = (await lstat(partial())).size;
    expect(before).toBeGreaterThan(100_000);
    await expectModel(await fetchModel());
    expect(hub.storageRequests.at(-1)!.range).toBe(`bytes=${before}-`);
  });

  test("a cache that is no folder", async () => {
    await mkdir(join(hub.cache, ".."), { recursive: true });
    await writeFile(hub.cache, "");
    await expect(fetchModel()).rejects.toMatchObject({ code: "download-failed" });
  });
});

test("an abort throws its reason and keeps what has come", async () => {
  const stop = new AbortController();
  hub.onStorage = (_, response) => {
    response.writeHead(200, { "content-length": model.length });
    return Boolean(response.write(model.subarray(0, 100_000)) || true);
  };
  const failed = fetchModel(NAME, {
    signal: stop.signal,
    onDownload: ({ bytes }) => bytes > 50_000 && stop.abort(new Error("enough")),
  });
  await expect(failed).rejects.toThrow("enough");
  expect((await lstat(partial())).size).toBeGreaterThan(50_000);
  expect(await blobs()).toHaveLength(1);
  await expect(fetchModel(NAME, { signal: stop.signal })).rejects.toThrow("enough");
});

test("of two that want the same file one downloads it", async () => {
  const notes: string[] = [];
  const waits = new EventEmitter();
  const waiting = once(waits, "wait");
  const onNote = (note: string) => {
    notes.push(note);
    waits.emit("wait");
  };
  hub.onStorage = (_, response) => {
    response.writeHead(200, { "content-length": model.length });
    response.write(model.subarray(0, 100_000));
    void waiting.then(() => response.end(model.subarray(100_000)));
    return true;
  };
  const paths = await Promise.all([fetchModel(NAME, { onNote }), fetchModel(NAME, { onNote })]);
  for (const path of paths) await expectModel(path);
  expect(hub.storageRequests).toHaveLength(1);
  expect(notes).toEqual([`${NAME}: another program is downloading it; waiting for that`]);
});
