/** @file `--color`: shows by drafter which tokens were free, that is guessed and then confirmed by the target. */

import type { TextPiece } from "../session/api.ts";

/** Colours of drafters, by their place. */
export const COLORS = [32, 36, 33, 35, 34, 31];

/** Paints answers and counts their tokens by drafter. A drafter keeps its colour from answer to answer. */
export class Painter {
  readonly #colors: boolean;
  /** Tokens of this answer by the first drafter that had guessed them; the place in this map is the colour. */
  readonly #counts = new Map<string, number>();
  #tokens = 0;

  /** Without `colors` the text stays as it is and only the legend tells. */
  constructor(colors: boolean) {
    this.#colors = colors;
  }

  /** Counts from nought, for the next answer. */
  begin(): void {
    this.#tokens = 0;
    for (const name of this.#counts.keys()) this.#counts.set(name, 0);
  }

  /** The pieces as text; a token that several drafters had guessed goes to the first of them. */
  text(pieces: readonly TextPiece[]): string {
    return pieces.map((piece) => this.#piece(piece)).join("");
  }

  /** One line: each drafter in its colour with its number of tokens, and those the target had to make itself. */
  legend(): string {
    const free = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    const used = [...this.#counts].filter(([, count]) => count > 0);
    const names = used.map(([name, count]) => this.#painted(`${name} ${count}`, name));
    return [...names, `target ${this.#tokens - free}`].join(" · ");
  }

  #piece({ text, drafters }: TextPiece): string {
    this.#tokens++;
    const drafter = drafters[0];
    if (drafter === undefined) return text;
    this.#counts.set(drafter, (this.#counts.get(drafter) ?? 0) + 1);
    return this.#painted(text, drafter);
  }

  #painted(text: string, drafter: string): string {
    if (!this.#colors || text === "") return text;
    const place = [...this.#counts.keys()].indexOf(drafter);
    return `\x1b[${COLORS[place % COLORS.length]}m${text}\x1b[39m`;
  }
}
