/**
 * @file Asks a Hugging Face hub, or a mirror of one, about repositories and files. Nothing in an answer is trusted: a commit
 * must be one, paths and ETags must be safe names, a list has an end.
 */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../errors.ts";
import { HttpClient, type HttpOptions, type HttpResponse, reasonOf, StatusError } from "./http.ts";
import { hubHome, isCommit } from "./hub-cache.ts";
import { listed, type RepoFile } from "./hub-files.ts";
import { type HubName, isRepoPath, printable } from "./hub-name.ts";
import type { Environment } from "./model-cache.ts";
import { byLikeness } from "./nearest.ts";
import type { Content } from "./partial-file.ts";

/** A file as the hub has it. */
export interface RemoteFile {
  readonly repo: string;
  readonly path: string;
  readonly commit: string;
  /** What names its content: SHA-256 of large files, git's hash of others. */
  readonly etag: string;
  readonly content: Content;
  readonly url: string;
}

export interface RepoListing {
  readonly commit: string;
  readonly files: readonly RepoFile[];
}

/** Most bytes of an answer that is not a file: a list of 100,000 files fits. */
const MAX_ANSWER = 32 << 20;
const ETAG = /^[A-Za-z0-9][\w-]{0,127}$/;

export class HubClient implements AsyncDisposable {
  readonly http: HttpClient;
  readonly endpoint: string;
  readonly #hasToken: boolean;

  /** HF_ENDPOINT replaces the hub's address; HF_TOKEN, or the token that `hf auth login` left, goes to it. */
  static async open(options: HttpOptions): Promise<HubClient> {
    const endpoint = endpointOf(options.env);
    const value = await tokenOf(options.env);
    const token = value === undefined ? undefined : { origin: new URL(endpoint).origin, value };
    return new HubClient(await HttpClient.open({ ...options, token }), endpoint, token !== undefined);
  }

  private constructor(http: HttpClient, endpoint: string, hasToken: boolean) {
    this.http = http;
    this.endpoint = endpoint;
    this.#hasToken = hasToken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.http[Symbol.asyncDispose]();
  }

  /** Where a file is and what its content is called. Throws EspalierError "file-not-found", "no-access" or "download-failed". */
  async locate(repo: string, revision: string, path: string): Promise<RemoteFile> {
    const url = `${this.endpoint}/${repo}/resolve/${encodeURIComponent(revision)}/${path.split("/").map(encodeURIComponent).join("/")}`;
    const response = await this.#asked({ repo, revision, file: path }, () =>
      // The hub's own answer tells about the file; the storage that it redirects to would not.
      this.http.send(url, {
        method: "HEAD",
        enough: (response) => response.header("x-repo-commit") !== undefined,
      }),
    );
    response.body.destroy();
    const commit = response.header("x-repo-commit") ?? "";
    const etag = (response.header("x-linked-etag") ?? response.header("etag") ?? "").replace(
      /^(?:W\/)?"(.*)"$/,
      "$1",
    );
    if (!isCommit(commit) || !ETAG.test(etag))
      throw this.#stranger(`does not tell commit and ETag of ${path}`);
    return { repo, path, commit, etag, content: contentOf(etag, sizeOf(response)), url };
  }

  /** All files of a revision. Throws like {@link locate}. */
  async list(repo: string, revision: string): Promise<RepoListing> {
    const answer = await this.#json(
      { repo, revision },
      `/api/models/${repo}/revision/${encodeURIComponent(revision)}?blobs=true`,
    );
    const { sha, siblings } = (answer ?? {}) as { sha?: unknown; siblings?: unknown };
    if (typeof sha !== "string" || !isCommit(sha) || !Array.isArray(siblings)) {
      throw this.#stranger(`does not list the files of ${repo}`);
    }
    const files = (siblings as ({ rfilename?: unknown; size?: unknown } | null)[]).flatMap((sibling) => {
      const path = sibling?.rfilename;
      if (typeof path !== "string" || !isRepoPath(path)) return [];
      return [{ path, bytes: typeof sibling?.size === "number" ? sibling.size : undefined }];
    });
    return { commit: sha, files };
  }

  async #json(about: HubName, path: string): Promise<unknown> {
    return await this.#asked(about, async () => {
      const response = await this.http.send(`${this.endpoint}${path}`);
      const text = await readText(response, () =>
        this.#stranger(`sends more than ${MAX_ANSWER} bytes for ${path}`),
      );
      try {
        return JSON.parse(text) as unknown;
      } catch (cause) {
        throw this.#stranger(`answers ${path} with what is no JSON`, cause);
      }
    });
  }

  /** Runs a request until it succeeds or fails for good, and says why. */
  async #asked<T>(about: HubName, request: () => Promise<T>): Promise<T> {
    try {
      return await this.http.retrying(request);
    } catch (error) {
      this.http.signal?.throwIfAborted();
      if (error instanceof EspalierError) throw error;
      if (error instanceof StatusError) throw await this.#refusal(error, about);
      throw new EspalierError(
        "download-failed",
        `${this.endpoint} cannot be reached: ${reasonOf(error)}; HTTPS_PROXY names a proxy, HF_ENDPOINT another hub`,
        { cause: error },
      );
    }
  }

  async #refusal(cause: StatusError, { repo, revision, file }: HubName): Promise<EspalierError> {
    const { status, hubCode } = cause;
    const error = (code: "file-not-found" | "no-access" | "download-failed", message: string) =>
      new EspalierError(code, message, { cause });
    if (hubCode === "GatedRepo") {
      const token = this.#hasToken
        ? "with the account of your token"
        : "and set HF_TOKEN to a token of your account";
      return error("no-access", `${repo} is gated: accept its terms at ${this.endpoint}/${repo} ${token}`);
    }
    if (hubCode === "RevisionNotFound") {
      return error("file-not-found", `${repo} has no revision ${revision}${await this.#revisions(repo)}`);
    }
    if (hubCode === "EntryNotFound" && file !== undefined) {
      const there = await this.#hint(async () => listed(file, (await this.list(repo, revision)).files));
      return error(
        "file-not-found",
        `${repo} has no file ${file} at revision ${revision}; ${there ?? "names must match exactly"}`,
      );
    }
    if (status === 401 && this.#hasToken) {
      return error(
        "no-access",
        `${cause.message}: the token from HF_TOKEN or "hf auth login" does not open ${repo}`,
      );
    }
    // The hub says 401 to strangers both for what is private and for what is not there.
    if (hubCode === "RepoNotFound" || status === 401 || status === 404) {
      const token = this.#hasToken ? "or the token does not open it" : "or it is private and needs HF_TOKEN";
      return error(
        "file-not-found",
        `${this.endpoint} has no repository ${repo}, ${token}${await this.#repositories(repo)}`,
      );
    }
    if (status === 403)
      return error("no-access", `${cause.message}: ${repo} needs a token with more rights in HF_TOKEN`);
    return error("download-failed", `${repo}: ${cause.message}`);
  }

  async #revisions(repo: string): Promise<string> {
    const names = await this.#hint(async () => {
      const answer = await this.#json({ repo, revision: "main" }, `/api/models/${repo}/refs`);
      const { branches, tags } = answer as Record<string, readonly { name: string }[]>;
      return [...branches!, ...tags!]
        .slice(0, 20)
        .map(({ name }) => printable(name))
        .join(", ");
    });
    return names === undefined ? "" : `; there are: ${names}`;
  }

  async #repositories(repo: string): Promise<string> {
    const names = await this.#hint(async () => {
      const search = encodeURIComponent(repo.split("/")[1]!);
      const answer = await this.#json(
        { repo, revision: "main" },
        `/api/models?search=${search}&filter=gguf&limit=5`,
      );
      return byLikeness(
        repo,
        (answer as readonly { id: string }[]).map(({ id }) => printable(id)),
      ).join(", ");
    });
    return names === undefined || names === "" ? "" : `; with such a name there are: ${names}`;
  }

  /** What makes a message better; without it the message stands as it is. */
  async #hint(find: () => Promise<string>): Promise<string | undefined> {
    // An answer about an answer that failed must not ask again.
    if (this.#hinting) return undefined;
    this.#hinting = true;
    return await find()
      .catch(() => undefined)
      .finally(() => {
        this.#hinting = false;
      });
  }
  #hinting = false;

  #stranger(problem: string, cause?: unknown): EspalierError {
    return new EspalierError(
      "download-failed",
      `${this.endpoint} ${problem}, so it seems to be no hub; check HF_ENDPOINT, and whether a proxy or a sign-in page answers for it`,
      { cause },
    );
  }
}

function endpointOf(env: Environment): string {
  const address = (env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return address;
  throw new EspalierError(
    "download-failed",
    `HF_ENDPOINT is "${printable(address)}"; give the address of a hub, such as https://huggingface.co`,
  );
}

async function tokenOf(env: Environment): Promise<string | undefined> {
  const file = env.HF_TOKEN_PATH || join(hubHome(env), "token");
  const text = env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN || (await readFile(file, "utf8").catch(() => ""));
  const token = text.trim();
  if (/^[\x21-\x7e]*$/.test(token)) return token === "" ? undefined : token;
  throw new EspalierError("no-access", "the token in HF_TOKEN has characters that no token has");
}

function sizeOf(response: HttpResponse): number | undefined {
  const redirect = response.status >= 300;
  const text = response.header("x-linked-size") ?? (redirect ? undefined : response.header("content-length"));
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function contentOf(etag: string, bytes: number | undefined): Content {
  if (/^[0-9a-f]{64}$/.test(etag)) return { bytes, checksum: { kind: "sha256", hex: etag } };
  const isGit = /^[0-9a-f]{40}$/.test(etag) && bytes !== undefined;
  return { bytes, checksum: isGit ? { kind: "git-sha1", hex: etag } : undefined };
}

async function readText(response: HttpResponse, tooLong: () => Error): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER) throw tooLong();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
