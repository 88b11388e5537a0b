/** @file `espalier datastore`: builds datastores for retrieval, joins them, shows what is in one and what it finds. */

import type { Command } from "commander";
import { openGguf } from "../checkpoint/gguf.ts";
import { readChatTemplate, readTokenizerSpec } from "../checkpoint/tokenizer-spec.ts";
import {
  type BuildOptions,
  type BuildProgress,
  type BuildResult,
  buildDatastore,
  mergeDatastores,
} from "../datastore/build.ts";
import { openDatastore } from "../datastore/datastore.ts";
import type { EncoderParts } from "../datastore/document-encoder.ts";
import { fingerprint } from "../text/fingerprint.ts";
import { queryStore, showContinuations } from "./datastore-query.ts";
import { find } from "./find.ts";
import { interruptible } from "./interrupt.ts";
import { type Io, writeJson } from "./io.ts";
import { shared } from "./options.ts";
import { showProgress } from "./progress.ts";
import { table } from "./table.ts";

interface ModelChoice {
  readonly model: string;
  readonly json?: true;
}

interface BuildChoice extends ModelChoice {
  readonly threads?: number;
}

const DOCUMENTS = `
A file of text or code is one document. In JSONL files (.jsonl, .ndjson) each line is one: a string, or an object with "text", "content" or
"code"; with "messages" or "conversations", a chat; or with a question ("prompt", "instruction") and its answer ("completion", "response",
"answer", "output"). Chats are kept in the form in which the model reads them. Files in folders that are hidden or no text are left out.`;

const EXAMPLES = `
Examples:
  espalier datastore build code.esd src node_modules -m qwen2.5-coder-0.5b
  espalier datastore append code.esd docs/*.md -m qwen2.5-coder-0.5b
  espalier datastore merge all.esd code.esd chats.esd
  espalier datastore query code.esd "for (let i = 0" -m qwen2.5-coder-0.5b
${DOCUMENTS}`;

export function addDatastore(program: Command, io: Io): void {
  const command = program
    .command("datastore")
    .description("Build and ask datastores: texts in which drafts are looked up.")
    .enablePositionalOptions()
    .addHelpText("after", EXAMPLES);
  addBuild(command, io);
  addAppend(command, io);
  addMerge(command, io);
  addStoreInfo(command, io);
  addQuery(command, io);
}

function addBuild(command: Command, io: Io): void {
  command
    .command("build")
    .description("Build a datastore of files, and of all files in folders.")
    .argument("<out>", "the file to write, such as code.esd; a datastore that is there is replaced")
    .argument("<inputs...>", "files and folders")
    .addOption(shared.model())
    .addOption(shared.threads())
    .addOption(shared.json())
    .addHelpText("after", DOCUMENTS)
    .action(async (out: string, inputs: string[], choice: BuildChoice) => {
      const parts = await readParts(choice, io);
      await building(choice, io, (options) => buildDatastore(out, { parts, inputs }, options));
    });
}

function addAppend(command: Command, io: Io): void {
  command
    .command("append")
    .description("Add files and folders to a datastore.")
    .argument("<store>", "the datastore")
    .argument("<inputs...>", "files and folders")
    .addOption(shared.model())
    .addOption(shared.threads())
    .addOption(shared.json())
    .addHelpText("after", DOCUMENTS)
    .action(async (store: string, inputs: string[], choice: BuildChoice) => {
      const parts = await readParts(choice, io);
      await building(choice, io, (options) =>
        buildDatastore(store, { parts, inputs, stores: [store] }, options),
      );
    });
}

function addMerge(command: Command, io: Io): void {
  command
    .command("merge")
    .description("Join datastores of the same tokenizer.")
    .argument("<out>", "the file to write; a datastore that is there is replaced")
    .argument("<stores...>", "datastores, in this order")
    .addOption(shared.json())
    .action(async (out: string, stores: string[], choice: { readonly json?: true }) => {
      await building(choice, io, (options) => mergeDatastores(out, stores, options));
    });
}

function addStoreInfo(command: Command, io: Io): void {
  command
    .command("info")
    .description("Show what is in a datastore, and compare its checksum.")
    .argument("<store>", "the datastore")
    .addOption(shared.json())
    .action(async (path: string, { json }: { readonly json?: true }) => {
      await using store = await openDatastore(path);
      const { documents, tokens, vocabSize, bytes, fingerprint } = store;
      const info = { path, documents, tokens, vocabSize, bytes, fingerprint };
      if (json) writeJson(info, io);
      else {
        const rows = [
          ["documents", String(documents)],
          ["tokens", String(tokens)],
          ["vocabulary", `${vocabSize} tokens, sha256 ${fingerprint}`],
          ["file", `${path}, ${megabytes(bytes)}`],
        ];
        io.stdout.write(`${table(rows)}\n`);
      }
    });
}

function addQuery(command: Command, io: Io): void {
  command
    .command("query")
    .description("Show what followed the end of a text in a datastore, and how often.")
    .argument("<store>", "the datastore")
    .argument("<text>", "a text, of whose tokens the last 16 at most are looked for, and 2 at least")
    .addOption(shared.model())
    .addOption(shared.json())
    .action(async (path: string, text: string, choice: ModelChoice) => {
      const { spec } = await readParts(choice, io);
      await using store = await openDatastore(path, fingerprint(spec.tokens));
      const result = queryStore(store, spec, text);
      if (choice.json) writeJson(result, io);
      else io.stdout.write(showContinuations(result));
    });
}

/** The tokenizer of the model that was named. */
async function readParts(choice: ModelChoice, io: Io): Promise<EncoderParts> {
  await using gguf = await openGguf(await find(choice.model, choice, io));
  return { spec: readTokenizerSpec(gguf), template: readChatTemplate(gguf) };
}

/** Shows how far the work is, lets ctrl-C end it, and tells what came of it. */
async function building(
  { threads, json }: { readonly threads?: number; readonly json?: true },
  io: Io,
  work: (options: BuildOptions) => Promise<BuildResult>,
): Promise<void> {
  let of = 1;
  const progress = showProgress("datastore", 100, io, (done) => `${done} %`);
  const onProgress = (now: BuildProgress) => {
    of = Math.max(1, now.of);
    progress.update(Math.floor((now.bytes / of) * 100), noteOf(now));
  };
  try {
    const result = await interruptible(io, (signal) => work({ threads, signal, onProgress }));
    progress.stop();
    if (json) writeJson(result, io);
    else io.stdout.write(`${summary(result)}\n`);
  } finally {
    progress.stop();
  }
}

function noteOf({ stage, of, tokens }: BuildProgress): string {
  const count = `${(tokens / 1e6).toFixed(1)} million tokens`;
  return { tokens: `of ${megabytes(of)}, ${count}`, suffixes: `sorting ${count}`, write: "writing" }[stage];
}

function summary({ path, tokens, documents, bytes, skipped, totalMs }: BuildResult): string {
  const left = skipped === 0 ? "" : `, ${skipped} files that are no text left out`;
  return `${path}: ${tokens} tokens in ${documents} documents, ${megabytes(bytes)}, in ${(totalMs / 1000).toFixed(1)} s${left}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
