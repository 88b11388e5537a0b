/** @file Who may ask: the key, and the names under which a server on this machine alone may be addressed. */

import { createHash, timingSafeEqual } from "node:crypto";
import { ApiError } from "./api-error.ts";

/** Throws ApiError 401 unless `header` is `Bearer` and the key. Takes the same time for every wrong key. */
export function checkKey(header: string | undefined, key: string): void {
  const given = /^Bearer +(.+)$/i.exec(header ?? "")?.[1];
  if (given !== undefined && timingSafeEqual(digest(given), digest(key))) return;
  const message =
    given === undefined
      ? "a key is needed; send it as the header Authorization: Bearer KEY"
      : "the key is wrong; send the one that the server was started with";
  throw new ApiError(401, message, { code: "invalid_api_key", headers: { "www-authenticate": "Bearer" } });
}

/** Of equal length, whatever is compared. */
function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

/**
 * Throws ApiError 403 unless `url` addresses one of `hosts`. A web page can have its own name point to this machine (DNS rebinding)
 * and is then allowed to read what a server here replies; the name gives it away.
 */
export function checkHost(url: string, hosts: readonly string[]): void {
  const { hostname } = new URL(url);
  if (hosts.includes(hostname)) return;
  throw new ApiError(
    403,
    `this server does not go by the name of ${hostname.slice(0, 100)}; use ${hosts[0]}`,
    {
      code: "wrong_host",
    },
  );
}
