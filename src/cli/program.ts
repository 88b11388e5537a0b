/** @file The commands under one name, and what becomes of their failures: one clear line and an exit code. */

import { Command, CommanderError } from "commander";
import { version } from "../engine/version.ts";
import { Interrupted } from "./interrupt.ts";
import { type Exit, FAILED, INTERRUPTED, type Io } from "./io.ts";
import { errorText } from "./report.ts";

type Add = (program: Command, io: Io, exit: Exit) => void;

/** Every command is a module that is loaded when it is asked for: a server and a table's drawing are much to load for one answer. */
const COMMANDS: Readonly<Record<string, () => Promise<Add>>> = {
  generate: async () => (await import("./generate.ts")).addGenerate,
  chat: async () => (await import("./chat.ts")).addChat,
  verify: async () => (await import("./verify.ts")).addVerify,
  bench: async () => (await import("./bench.ts")).addBench,
  demo: async () => (await import("./demo.ts")).addDemo,
  trace: async () => (await import("./trace.ts")).addTrace,
  serve: async () => (await import("./serve.ts")).addServe,
  info: async () => (await import("./info.ts")).addInfo,
  fetch: async () => (await import("./fetch.ts")).addFetch,
  datastore: async () => (await import("./datastore.ts")).addDatastore,
};

const MORE = `
Examples:
  espalier chat
  espalier generate --prompt "Once upon a time" --color
  espalier chat --model smollm2-135m
  espalier serve --model smollm2-135m
  espalier chat --model hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M
  espalier verify --model model.gguf --prompts prompts.jsonl --method all
  espalier bench --model model.gguf --prompts prompts.jsonl --limit 20

Run espalier help <command> for the options of a command.`;

/** Runs one command line, without the program's name, and gives its exit code. Never throws. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  let code = 0;
  const exit = (value: number) => {
    code = value;
  };
  let debug = false;
  const program = new Command("espalier")
    .description("Generates text with a local language model: drafted, and the same text as plain decoding.")
    .version(version())
    .helpCommand(true)
    // Options belong to the command they follow: `bench` and `bench engine` have some of the same names.
    .enablePositionalOptions()
    .hook("preAction", (_, command) => {
      debug = command.opts<{ debug?: true }>().debug === true;
    })
    .addHelpText("after", MORE);
  // Help, and what is no command's name, need all of them.
  const own = Object.hasOwn(COMMANDS, args[0] ?? "") ? [COMMANDS[args[0]!]!] : Object.values(COMMANDS);
  for (const add of await Promise.all(own.map((load) => load()))) add(program, io, exit);
  configure(program, io);
  try {
    await program.parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    // Help and version come as errors of exit code 0, wrong arguments as others; both have been written already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : FAILED;
    if (error instanceof Interrupted) return INTERRUPTED;
    io.stderr.write(`error: ${errorText(error, debug)}\n`);
    return FAILED;
  }
}

/** Makes every command write through `io` and throw where commander would end the process. */
function configure(command: Command, io: Io): void {
  if (command.parent !== null) command.option("--debug", "show where in the program an error came from");
  command
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => io.stdout.columns ?? 80,
      getErrHelpWidth: () => io.stderr.columns ?? 80,
    });
  for (const child of command.commands) configure(child, io);
}
