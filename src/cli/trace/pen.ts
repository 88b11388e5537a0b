/** @file How a trace is written on a terminal: drafters by colour and letter, so that it can be read without colours too. */

import { COLORS } from "../paint.ts";
import { clipped, visible } from "./visible.ts";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const NAME_WIDTH = 16;

export class Pen {
  readonly #colors: boolean;
  /** Of each drafter: its letter, and its name fit to be shown. */
  readonly letters: readonly string[];
  readonly names: readonly string[];

  constructor(drafters: readonly string[], colors: boolean) {
    this.#colors = colors;
    this.letters = lettersOf(drafters);
    this.names = drafters.map((name) => clipped(visible(name), NAME_WIDTH));
  }

  bold(text: string): string {
    return this.#wrapped(text, 1, 22);
  }

  dim(text: string): string {
    return this.#wrapped(text, 2, 22);
  }

  /** `text` in the colour of drafter `i`. */
  paint(text: string, i: number): string {
    return this.#wrapped(text, COLORS[i % COLORS.length]!, 39);
  }

  /** The letters of those drafters that are in the bit set, each in its column. */
  marks(sources: number): string {
    const marks = this.letters.map((letter, i) => (sources & (1 << i) ? this.paint(letter, i) : " "));
    return marks.join("");
  }

  /** Each letter with its name. */
  legend(): string {
    return this.letters.map((letter, i) => this.paint(`${letter} ${this.names[i]}`, i)).join(" · ");
  }

  #wrapped(text: string, on: number, off: number): string {
    return this.#colors && text !== "" ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  }
}

/** A letter each: the first of the name that is free, or any that is. There are more letters than drafters of a trace. */
export function lettersOf(names: readonly string[]): string[] {
  const letters: string[] = [];
  for (const name of names) {
    const free = (letter: string) => LETTERS.includes(letter) && !letters.includes(letter);
    letters.push([...name.toUpperCase(), ...LETTERS].find(free)!);
  }
  return letters;
}
