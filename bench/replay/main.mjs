/** @file Compiles `run.ts` with all that it uses, and runs it: replays go through the sources, as tests do. */

import { join } from "node:path";
import { compiled } from "../compiled.mjs";

const { main } = await compiled(import.meta.dirname)("run");
await main(join(import.meta.dirname, "../.."));
