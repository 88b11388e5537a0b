/** @file Counters of the server, in the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/). */

import type { GenerateStats, StopReason } from "../session/api.ts";

type Labels = Readonly<Record<string, string | number>>;

interface Family {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** By label text, such as `{status="200"}`. */
  readonly values: Map<string, number>;
}

/** Upper ends of the classes of durations, in seconds. */
const BUCKETS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100];

export class Metrics {
  readonly #families = new Map<string, Family>();

  /** A reply was given. `route` is one of the server's own, so that callers cannot make up labels. */
  countReply(route: string, status: number): void {
    this.#add("counter", "requests_total", "Replies by route and status.", { route, status });
  }

  /** A generation began to show text `seconds` after its request came. */
  countFirstToken(seconds: number): void {
    this.#observe("time_to_first_token_seconds", "From request to first text, waiting included.", seconds);
  }

  /** A generation has ended `seconds` after its request came. */
  countGeneration(stats: GenerateStats, stopReason: StopReason, seconds: number): void {
    this.#observe("generation_seconds", "From request to the end of its text.", seconds);
    this.#add("counter", "texts_total", "Texts by why they ended.", { reason: stopReason });
    const add = (name: string, help: string, value: number, labels?: Labels) =>
      this.#add("counter", name, help, labels, value);
    add("prompt_tokens_total", "Tokens of prompts.", stats.promptTokens);
    add("cached_tokens_total", "Tokens of prompts that were in a cache already.", stats.cachedTokens);
    add("tokens_total", "Tokens written.", stats.tokens);
    add("passes_total", "Passes of the model after prompts.", stats.passes);
    for (const [drafter, { drafted, accepted }] of Object.entries(stats.byDrafter)) {
      add("drafted_tokens_total", "Tokens guessed.", drafted, { drafter });
      add("accepted_tokens_total", "Tokens guessed and then written.", accepted, { drafter });
    }
  }

  /** The page, with gauges that are true now. */
  text(gauges: Readonly<Record<string, number>>): string {
    const now = Object.entries(gauges).map(([name, value]): [string, Family] => {
      const words = name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
      const values = new Map([["", value]]);
      return [words.replaceAll(" ", "_"), { type: "gauge", help: `Now: ${words}.`, values }];
    });
    return [...this.#families, ...now]
      .map(([name, { type, help, values }]) => {
        const full = `espalier_${name}`;
        // The lines of a histogram carry the rest of their names in front of their labels.
        const lines = [...values].map(([labels, value]) => `${full}${labels} ${value}\n`);
        return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines.join("")}`;
      })
      .join("");
  }

  #observe(name: string, help: string, seconds: number): void {
    const add = (suffix: string, value: number) => this.#add("histogram", name, help, suffix, value);
    for (const end of BUCKETS) add(`_bucket{le="${end}"}`, seconds <= end ? 1 : 0);
    add('_bucket{le="+Inf"}', 1);
    add("_sum", seconds);
    add("_count", 1);
  }

  #add(type: Family["type"], name: string, help: string, labels: Labels | string = {}, value = 1): void {
    let family = this.#families.get(name);
    if (family === undefined) {
      family = { type, help, values: new Map() };
      this.#families.set(name, family);
    }
    const key = typeof labels === "string" ? labels : labelText(labels);
    family.values.set(key, (family.values.get(key) ?? 0) + value);
  }
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
