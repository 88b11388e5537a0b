/**
 * @file A file that is on its way: written beside its place, hashed as it grows, and put into place whole. What has come
 * stays when the way breaks off, so that it can go on from there.
 *
 * Bytes that come again are written over their like, and nothing is cut off before the end: two programs that fill the same
 * partial file with the same content do not harm each other.
 */

import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";

export interface Checksum {
  /** "git-sha1" is how git names a file's content: SHA-1 over `blob <bytes>`, a zero byte, and the content. */
  readonly kind: "sha256" | "git-sha1";
  /** In lower-case hex. */
  readonly hex: string;
}

export interface Content {
  /** Undefined when the server does not say. */
  readonly bytes: number | undefined;
  /** "git-sha1" needs `bytes` to be known. */
  readonly checksum: Checksum | undefined;
}

export class PartialFile implements AsyncDisposable {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #content: Content;
  #hash: Hash;
  #position = 0;

  /** Goes on with what is at `path`, or starts it; its folder must be there. */
  static async open(path: string, content: Content): Promise<PartialFile> {
    const partial = new PartialFile(path, await open(path, constants.O_RDWR | constants.O_CREAT), content);
    try {
      await partial.#hashOld();
      return partial;
    } catch (error) {
      await partial[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(path: string, file: FileHandle, content: Content) {
    this.path = path;
    this.#file = file;
    this.#content = content;
    this.#hash = newHash(content);
  }

  /** Closes the file and leaves it, unless nothing has come. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    if (this.#position === 0) await rm(this.path, { force: true });
  }

  /** Bytes that have come. */
  get position(): number {
    return this.#position;
  }

  async append(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.length; ) {
      const { bytesWritten } = await this.#file.write(
        chunk,
        done,
        chunk.length - done,
        this.#position + done,
      );
      done += bytesWritten;
    }
    this.#hash.update(chunk);
    this.#position += chunk.length;
  }

  restart(): void {
    this.#hash = newHash(this.#content);
    this.#position = 0;
  }

  /** The hash of what has come, when another is expected. */
  wrongHash(): string | undefined {
    const found = this.#hash.copy().digest("hex");
    return this.#content.checksum === undefined || found === this.#content.checksum.hex ? undefined : found;
  }

  /** Puts the file into place, over one that is there. */
  async moveTo(path: string): Promise<void> {
    await this.#file.truncate(this.#position);
    await this.#file.datasync();
    await rename(this.path, path);
  }

  async #hashOld(): Promise<void> {
    const { size } = await this.#file.stat();
    const { bytes, checksum } = this.#content;
    // Without a checksum nobody could tell whether the rest belongs to it.
    if (checksum === undefined || size > (bytes ?? Number.MAX_SAFE_INTEGER)) return;
    const buffer = Buffer.allocUnsafe(1 << 20);
    while (this.#position < size) {
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, this.#position);
      if (bytesRead === 0) return;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.#position += bytesRead;
    }
  }
}

function newHash({ bytes, checksum }: Content): Hash {
  return checksum?.kind === "git-sha1" ? createHash("sha1").update(`blob ${bytes}\0`) : createHash("sha256");
}
