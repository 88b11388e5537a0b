/** @file The version of this package. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

/** As package.json has it, such as "0.1.0". */
export function version(): string {
  const manifest = readFileSync(join(import.meta.dirname, "../../package.json"), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
