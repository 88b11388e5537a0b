/** @file `espalier serve`: the model behind an address, in the shape of OpenAI's API. */

import { type Command, Option } from "commander";
import wrapAnsi from "wrap-ansi";
import { version } from "../engine/version.ts";
import { type AppOptions, createApp } from "../server/app.ts";
import { listen } from "../server/listen.ts";
import type { LogEntry } from "../server/texts.ts";
import type { Model } from "../session/model.ts";
import { Service } from "../session/service.ts";
import { engineOf } from "./engine-info.ts";
import { dim, INTERRUPTED, type Io } from "./io.ts";
import { type ModelOptions, withModel } from "./model.ts";
import { addModel, collect, integer, shared } from "./options.ts";
import { errorText, statsLine } from "./report.ts";

interface Options extends ModelOptions {
  readonly host: string;
  readonly port: number;
  readonly apiKey?: string;
  readonly cors?: readonly string[];
  readonly maxBody: number;
  readonly parallel: number;
  readonly queue: number;
  readonly prefixCache: number;
  readonly warmUp: boolean;
  readonly quiet?: true;
  readonly debug?: true;
}

/** Names of this machine that nobody else can reach it by. */
const LOCAL = ["127.0.0.1", "localhost", "[::1]"];
const KEY_VARIABLE = "ESPALIER_API_KEY";

const EXAMPLES = `
Examples:
  espalier serve -m smollm2-135m
  ${KEY_VARIABLE}=… espalier serve -m model.gguf --host 0.0.0.0 --port 80

Paths: POST /v1/chat/completions and /v1/completions, GET /v1/models, /health, /metrics (for Prometheus) and /openapi.json.`;

export function addServe(program: Command, io: Io): void {
  addModel(program.command("serve").description("Answer requests over HTTP, in the shape of OpenAI's API."))
    .option("--host <address>", "where to listen; other than this machine alone needs a key", "127.0.0.1")
    .addOption(
      new Option("--port <n>", "0 takes any that is free")
        .argParser(integer({ min: 0, max: 65535 }))
        .default(8080),
    )
    .option("--api-key <key>", `what every request has to bring; better in the variable ${KEY_VARIABLE}`)
    .option("--cors <origin>", "a web page that may ask, or * for all; may be given several times", collect)
    .addOption(
      new Option("--max-body <bytes>", "largest request").argParser(integer({ min: 1 })).default(1 << 20),
    )
    .addOption(
      new Option("--parallel <n>", "texts that are written at once; they share passes")
        .argParser(integer({ min: 1, max: 64 }))
        .default(8),
    )
    .addOption(
      new Option("--queue <n>", "requests that may wait behind them; further ones get status 429")
        .argParser(integer({ min: 0 }))
        .default(64),
    )
    .addOption(
      new Option("--prefix-cache <mib>", "memory for what past texts have in their caches; 0 keeps nothing")
        .argParser(integer({ min: 0 }))
        .default(256),
    )
    .addOption(shared.warmStart())
    .addOption(shared.warmUp())
    .option("--quiet", "do not log requests (texts are never logged)")
    .addHelpText("after", EXAMPLES)
    .action(async (options: Options) => {
      const settings = settingsOf(options, io);
      await withModel(options, io, (model) => serve(model, options, settings, io));
    });
}

/** Who may ask. Throws RangeError for a server that strangers could use. */
function settingsOf({ host, apiKey, cors }: Options, io: Io): Partial<AppOptions> {
  const key = apiKey ?? io.env[KEY_VARIABLE];
  if (key === "") throw new RangeError("the key is empty; give one that is hard to guess");
  const local = LOCAL.includes(host) || host === "::1";
  if (!local && key === undefined) {
    throw new RangeError(
      `--host ${host} lets other machines in; give them a key, in ${KEY_VARIABLE} or by --api-key`,
    );
  }
  return {
    apiKey: key,
    origins: cors,
    // A key keeps strangers out by itself.
    hosts: local && key === undefined ? LOCAL : undefined,
  };
}

async function serve(model: Model, options: Options, settings: Partial<AppOptions>, io: Io): Promise<void> {
  const remark = (text: string) => io.stderr.write(`${dim(text, io.stderr, io)}\n`);
  const { parallel, queue } = options;
  await using service = new Service(model, {
    running: parallel,
    waiting: queue,
    prefixBytes: options.prefixCache * 2 ** 20,
  });
  const app = createApp(service, {
    ...settings,
    version: version(),
    maxBodyBytes: options.maxBody,
    maxOpen: parallel + queue,
    ...(options.quiet ? {} : { onLog: (entry: LogEntry) => remark(logLine(entry)) }),
    onFault: (error) => io.stderr.write(`error: ${errorText(error, options.debug === true)}\n`),
  });
  const { host, port } = options;
  const server = await listen(app, { host, port });
  let stop = () => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  let asked = false;
  const off = io.onStop(() => {
    if (asked) io.exit(INTERRUPTED);
    asked = true;
    stop();
  });
  try {
    io.stdout.write(screen(server.url, model, options, settings));
    // What goes wrong in it goes wrong in the first answer, too.
    if (options.warmUp) model.warmUp().catch(() => {});
    await stopped;
    remark("finishing the texts that are being written; ctrl-C again ends at once");
    await server.close();
  } finally {
    off();
  }
}

/** One line, with nothing of what anybody wrote. */
function logLine({ route, status, seconds, code, stats, stopReason }: LogEntry): string {
  const what = stats ? `${stopReason} · ${statsLine(stats)}` : (code ?? "");
  return `${new Date().toISOString()} ${status} ${route} ${seconds.toFixed(2)} s ${what}`.trimEnd();
}

const INDENT = " ".repeat(12);
const COLUMNS = 80;

function indented(text: string): string {
  return wrapAnsi(text, COLUMNS - INDENT.length).replaceAll(/^/gm, INDENT);
}

/** What somebody sees who has started it. */
function screen(url: string, model: Model, options: Options, { apiKey }: Partial<AppOptions>): string {
  const { parallel, queue } = options;
  const { isa, threads } = engineOf(model);
  const others = model.methodNames.filter((name) => name !== model.defaultMethod);
  const key = apiKey === undefined ? "" : ` -H "Authorization: Bearer $${KEY_VARIABLE}"`;
  const body = { model: model.name, messages: [{ role: "user", content: "Hello!" }] };
  const data = JSON.stringify(body).replaceAll("'", "'\\''");
  return `Espalier ${version()}

  address   ${url}/v1${apiKey === undefined ? "" : ", with a key"}
  model     ${model.name}, context of ${model.contextLength} tokens
  engine    ${isa}, ${threads} ${threads === 1 ? "thread" : "threads"}
  drafting  ${model.defaultMethod}
${indented(`a request may ask for ${others.join(", ")}`)}
  places    ${parallel} ${parallel === 1 ? "text" : "texts"} at once, ${queue} waiting

  curl ${url}/v1/chat/completions${key} -H "Content-Type: application/json" -d '${data}'

Ctrl-C ends it when the texts that are being written are finished.
`;
}
