/** @file `espalier fetch`: downloads a model, so that later commands find it. */

import { stat } from "node:fs/promises";
import type { Command } from "commander";
import { downloading } from "./find.ts";
import { type Io, writeJson } from "./io.ts";
import { shared } from "./options.ts";

const EXAMPLES = `
Examples:
  espalier fetch smollm2-135m
  espalier fetch hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M
  espalier generate -m "$(espalier fetch hf:owner/repo/folder/model.gguf)" --prompt "Once upon a time"

Names of the hub are hf:owner/repo/file.gguf, or hf:owner/repo:Q4_K_M for the file with that in its name; a revision goes
behind the repository, as in hf:owner/repo@main:Q4_K_M. They are kept in the cache that all Hugging Face programs share.
HF_TOKEN, HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE and HTTPS_PROXY are obeyed. A download that broke off goes on where it was.`;

export function addFetch(program: Command, io: Io): void {
  program
    .command("fetch")
    .description("Download a model, or its newest state, and print the path of its file.")
    .argument("<model>", "smollm2-135m, or a model on the hub: hf:owner/repo:Q4_K_M, hf:owner/repo/file.gguf")
    .addOption(shared.json())
    .addHelpText("after", EXAMPLES)
    .action(async (model: string, options: { json?: true }) => {
      const path = await downloading(io, (download) => io.fetchModel(model, download));
      if (options.json) writeJson({ model, path, bytes: (await stat(path)).size }, io);
      else io.stdout.write(`${path}\n`);
    });
}
