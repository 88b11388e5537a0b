/** @file `espalier chat`: a conversation on the terminal. The cache is kept from turn to turn. */

import { createInterface, type Interface } from "node:readline";
import type { Command } from "commander";
import { EspalierError } from "../errors.ts";
import type { GenerateRequest } from "../session/api.ts";
import type { Model } from "../session/model.ts";
import type { Session } from "../session/session.ts";
import type { ChatMessage } from "../text/chat-template.ts";
import { allowsColors, dim, type Exit, endLine, INTERRUPTED, type Io } from "./io.ts";
import { type ModelOptions, withModel, withState } from "./model.ts";
import { addModel, shared } from "./options.ts";
import { Painter } from "./paint.ts";
import { statsLine } from "./report.ts";
import { addSampling, type Sampling, samplingOf } from "./sampling.ts";

interface Options extends ModelOptions, Sampling {
  readonly system?: string;
  readonly method?: string;
  readonly maxTokens?: number;
  readonly budget?: number;
  readonly color?: true;
  readonly stats?: true;
  readonly warmUp: boolean;
}

const HELP = `/reset  forget the conversation
/exit   leave (ctrl-D does as well)
/help   this list
ctrl-C ends an answer; at the prompt, twice, it leaves.
`;

const EXAMPLES = `
Examples:
  espalier chat -m smollm2-135m
  espalier chat -m model.gguf --system "Answer in one sentence." --temperature 0.7 --stats --color

In the conversation:
${HELP.replaceAll(/^/gm, "  ").trimEnd()}`;

export function addChat(program: Command, io: Io, exit: Exit): void {
  const command = addModel(program.command("chat").description("Talk with a model."))
    .option("--system <text>", "system message: what the model is told before the conversation")
    .addOption(shared.method())
    .addOption(shared.maxTokens())
    .addOption(shared.budget());
  addSampling(command)
    .addOption(shared.keptState())
    .addOption(shared.warmStart())
    .addOption(shared.warmUp())
    .option("--color", "show by drafter which tokens were free")
    .option("--stats", "show the figures of every answer")
    .addHelpText("after", EXAMPLES)
    .action((options: Options) =>
      withModel(options, io, (model) =>
        withState(model, options, () => new Chat(model, options, io, exit).run()),
      ),
    );
}

/** One conversation and the reader of its lines. */
class Chat {
  readonly #model: Model;
  readonly #options: Options;
  readonly #io: Io;
  readonly #exit: Exit;
  readonly #lines: Interface;
  readonly #painter: Painter;
  #messages: ChatMessage[] = [];
  /** Aborts the answer that is being written. */
  #answer: AbortController | undefined;
  /** Ctrl-C was the last thing that happened at the prompt. */
  #leaving = false;

  constructor(model: Model, options: Options, io: Io, exit: Exit) {
    this.#model = model;
    this.#options = options;
    this.#io = io;
    this.#exit = exit;
    const terminal = io.stdin.isTTY === true && io.stdout.isTTY === true;
    this.#lines = createInterface({
      input: io.stdin,
      ...(terminal ? { output: io.stdout } : {}),
      terminal,
      prompt: "> ",
    });
    this.#painter = new Painter(options.color === true && allowsColors(io));
    this.#reset();
  }

  async run(): Promise<void> {
    const stop = this.#io.onInterrupt(() => this.#interrupt());
    // On a terminal ctrl-C is a key that readline sees, not a signal.
    this.#lines.on("SIGINT", () => this.#interrupt());
    const session = await this.#model.createSession();
    try {
      this.#remark(
        `${this.#model.name}, context of ${session.contextLength} tokens; /help lists the commands`,
      );
      this.#lines.prompt();
      // What goes wrong in it goes wrong in the first answer, too.
      const { warmUp, method } = this.#options;
      if (warmUp) this.#model.warmUp(method === undefined ? {} : { method }).catch(() => {});
      for await (const line of this.#lines) {
        this.#leaving = false;
        if (line.trim() !== "" && (await this.#line(line.trim(), session)) === "exit") break;
        this.#lines.prompt();
      }
    } finally {
      stop();
      this.#lines.close();
      // What comes next in the terminal is not to stand behind the prompt.
      if (this.#lines.terminal) this.#io.stdout.write("\n");
      await session[Symbol.asyncDispose]();
    }
  }

  async #line(line: string, session: Session): Promise<"exit" | "go on"> {
    if (line === "/exit") return "exit";
    if (line === "/help") this.#io.stdout.write(HELP);
    else if (line === "/reset") this.#reset();
    else if (line.startsWith("/")) this.#remark(`there is no command ${line}; /help lists them`);
    else await this.#say(line, session);
    return "go on";
  }

  async #say(content: string, session: Session): Promise<void> {
    const { method, maxTokens, budget, color } = this.#options;
    const { stdout } = this.#io;
    const messages: ChatMessage[] = [...this.#messages, { role: "user", content }];
    this.#answer = new AbortController();
    const request: GenerateRequest = {
      messages,
      ...samplingOf(this.#options),
      ...(method === undefined ? {} : { method }),
      ...(maxTokens === undefined ? {} : { maxTokens }),
      ...(budget === undefined ? {} : { budget }),
      signal: this.#answer.signal,
    };
    const painter = this.#painter;
    painter.begin();
    try {
      for await (const event of session.generate(request)) {
        if (event.type === "text") {
          stdout.write(color ? painter.text(event.pieces) : event.text);
          continue;
        }
        await endLine(stdout);
        if (event.stopReason === "context-full") this.#remark("the context is full; /reset starts anew");
        if (color) this.#io.stderr.write(`${painter.legend()}\n`);
        if (this.#options.stats) this.#remark(statsLine(event.stats));
        this.#messages = [...messages, { role: "assistant", content: event.text }];
      }
    } catch (error) {
      // A conversation that became too long can be reset; anything else ends the program.
      if (!(error instanceof EspalierError && error.code === "context-overflow")) throw error;
      this.#remark(`${error.message}; /reset starts anew`);
    } finally {
      this.#answer = undefined;
    }
  }

  #reset(): void {
    const { system } = this.#options;
    this.#messages = system === undefined ? [] : [{ role: "system", content: system }];
  }

  #interrupt(): void {
    if (this.#answer !== undefined) {
      if (this.#answer.signal.aborted) this.#io.exit(INTERRUPTED);
      this.#answer.abort();
    } else if (this.#leaving || !this.#lines.terminal) {
      this.#exit(INTERRUPTED);
      this.#lines.close();
    } else {
      this.#leaving = true;
      this.#remark("\nctrl-C again leaves");
      this.#lines.write(null, { ctrl: true, name: "u" });
      this.#lines.prompt();
    }
  }

  #remark(text: string): void {
    this.#io.stderr.write(`${dim(text, this.#io.stderr, this.#io)}\n`);
  }
}
