/** @file `espalier generate`: one prompt or conversation, one answer. */

import { readFile } from "node:fs/promises";
import { text as readAll } from "node:stream/consumers";
import { type Command, Option } from "commander";
import { EspalierError } from "../errors.ts";
import type { GenerateEvent, GenerateRequest } from "../session/api.ts";
import { checkRequest } from "../session/request.ts";
import type { StepReport } from "../session/step-report.ts";
import type { ChatMessage } from "../text/chat-template.ts";
import { interruptible } from "./interrupt.ts";
import { allowsColors, dim, type Exit, endLine, INTERRUPTED, type Io, writeJson } from "./io.ts";
import { type ModelOptions, withModel, withState } from "./model.ts";
import { addModel, shared } from "./options.ts";
import { Painter } from "./paint.ts";
import { statsLine } from "./report.ts";
import { addSampling, type Sampling, samplingOf } from "./sampling.ts";

interface Options extends ModelOptions, Sampling {
  readonly prompt?: string;
  readonly messages?: string;
  readonly method?: string;
  readonly maxTokens?: number;
  readonly budget?: number;
  readonly trace?: string;
  readonly color?: true;
}

const EXAMPLES = `
Examples:
  espalier generate -m smollm2-135m --prompt "def fibonacci(n):" -n 64 --color
  espalier generate --prompt "Once upon a time" --trace out.json && espalier trace out.json
  espalier generate -m model.gguf --messages chat.json --temperature 0.7 --seed 42
  git diff | espalier generate -m model.gguf --prompt -

A prompt is fed as it is. Messages, a JSON list such as [{"role": "user", "content": "Hello!"}], go through the model's
chat template.`;

export function addGenerate(program: Command, io: Io, exit: Exit): void {
  const command = addModel(
    program.command("generate").description("Continue a prompt, or answer a conversation, once."),
  )
    .addOption(
      new Option("-p, --prompt <text>", "raw text to continue; - reads standard input").conflicts("messages"),
    )
    .option("--messages <file>", "a conversation as JSON, to be answered")
    .addOption(shared.method())
    .addOption(shared.maxTokens())
    .addOption(shared.budget());
  addSampling(command)
    .addOption(shared.keptState())
    .addOption(shared.warmStart())
    .option("--trace <file>", "keep every step here, for espalier trace")
    .addOption(new Option("--color", "show by drafter which tokens were free").conflicts("json"))
    .addOption(shared.json())
    .addHelpText("after", EXAMPLES)
    .action(async (options: Options) => {
      const text = await readRequest(options, io);
      const tracing = options.trace === undefined ? undefined : await import("./trace/keep.ts");
      await tracing?.checkWritable(options.trace!);
      const end = await withModel(options, io, async (model) => {
        const request = { ...text, ...requestOf(options) };
        const recorder =
          tracing &&
          new tracing.TraceRecorder(
            model.parts,
            checkRequest(request, model.parts, model.contextLength).prompt,
          );
        const onStep = recorder && { onStep: (step: StepReport) => recorder.add(step) };
        const end = await withState(model, options, () =>
          interruptible(io, (signal) => show(model.generate({ ...request, ...onStep, signal }), options, io)),
        );
        if (tracing && recorder) {
          await tracing.writeTrace(options.trace!, recorder.finish(end));
          io.stderr.write(`${dim(`espalier trace ${options.trace} shows its steps`, io.stderr, io)}\n`);
        }
        return end;
      });
      if (end.stopReason === "aborted") exit(INTERRUPTED);
    });
}

function requestOf(options: Options): Omit<GenerateRequest, "prompt" | "messages"> {
  const { method, maxTokens, budget } = options;
  return {
    ...samplingOf(options),
    ...(method === undefined ? {} : { method }),
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(budget === undefined ? {} : { budget }),
  };
}

async function readRequest(
  { prompt, messages }: Options,
  io: Io,
): Promise<Pick<GenerateRequest, "prompt" | "messages">> {
  if (messages !== undefined) return { messages: await readMessages(messages) };
  if (prompt === undefined)
    throw new RangeError("there is nothing to continue; give --prompt <text> or --messages <file>");
  return { prompt: prompt === "-" ? await readAll(io.stdin) : prompt };
}

async function readMessages(path: string): Promise<ChatMessage[]> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    if (cause instanceof SyntaxError)
      throw new EspalierError("bad-prompts", `${path} is not JSON: ${cause.message}`, { cause });
    throw new EspalierError("file-not-found", `cannot read the messages in ${path}`, { cause });
  }
  const roles = ["system", "user", "assistant", "tool"];
  const right =
    Array.isArray(value) &&
    value.length > 0 &&
    value.every(
      (message: unknown) =>
        typeof message === "object" &&
        message !== null &&
        roles.includes((message as ChatMessage).role) &&
        typeof (message as ChatMessage).content === "string",
    );
  if (!right) {
    throw new EspalierError(
      "bad-prompts",
      `${path} is not a list of messages; give [{"role": "user", "content": "…"}], roles: ${roles.join(", ")}`,
    );
  }
  return value as ChatMessage[];
}

type End = Extract<GenerateEvent, { type: "end" }>;

/** Writes the answer as it comes, or as one JSON object at the end. */
async function show(events: AsyncIterable<GenerateEvent>, options: Options, io: Io): Promise<End> {
  const painter = new Painter(options.color === true && allowsColors(io));
  for await (const event of events) {
    if (event.type === "end") {
      if (options.json) {
        const { method, promptTokens, passes, mat, tokensPerSecond, prefillMs } = event.stats;
        const { text, tokens, stopReason } = event;
        writeJson(
          { text, tokens, promptTokens, passes, mat, tokensPerSecond, prefillMs, method, stopReason },
          io,
        );
      } else {
        await endLine(io.stdout);
        if (options.color) io.stderr.write(`${painter.legend()}\n`);
        io.stderr.write(`${dim(statsLine(event.stats), io.stderr, io)}\n`);
      }
      return event;
    }
    if (!options.json) io.stdout.write(options.color ? painter.text(event.pieces) : event.text);
  }
  throw new Error("internal: the generation ended without an end event");
}
