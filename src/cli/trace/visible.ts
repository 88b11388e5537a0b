/** @file Text that came from a model or a file, made safe and clear to show: nothing in it reaches the terminal as a command. */

import stringWidth from "string-width";
import wrapAnsi from "wrap-ansi";

const NAMES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };

/**
 * Controls, formats (those that turn the direction of writing among them), unassigned and private characters, lone surrogates, and
 * separators other than the space, as escapes.
 */
export function visible(text: string): string {
  return text.replaceAll(
    /[\p{C}\p{Zl}\p{Zp}\\]|(?! )\p{Zs}/gu,
    (character) => NAMES[character] ?? `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}

/** As {@link visible}, with spaces at the ends that can be seen. */
export function visibleToken(text: string): string {
  return visible(text).replaceAll(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
}

/** `text`, which is visible, in at most `width` columns, at least 1; what is cut off at its end is told by an ellipsis. */
export function clipped(text: string, width: number): string {
  // Characters that take no column are not to make a line endless.
  const most = 4 * width;
  if (text.length <= most && stringWidth(text) <= width) return text;
  const characters = Array.from(text.slice(0, most));
  while (stringWidth(characters.join("")) >= width) characters.pop();
  return `${characters.join("")}…`;
}

/** As {@link clipped}, but of the end of `text`. */
export function clippedBefore(text: string, width: number): string {
  const most = 4 * width;
  if (text.length <= most && stringWidth(text) <= width) return text;
  const characters = Array.from(text.slice(-most));
  while (stringWidth(characters.join("")) >= width) characters.shift();
  return `…${characters.join("")}`;
}

/** One line of text, which may hold colours, without what does not fit into `width` columns. */
export function fitted(line: string, width: number): string {
  if (stringWidth(line) <= width) return line;
  return wrapAnsi(line, width, { hard: true, wordWrap: false, trim: false }).split("\n")[0]!;
}

/** What the bytes of a token say; those that are no UTF-8, as of a part of a character, in hex. */
export function bytesAsText(bytes: Uint8Array): string {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at]!;
    const size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    try {
      text += strict.decode(bytes.subarray(at, at + size));
      at += size;
    } catch {
      text += `<0x${lead.toString(16).toUpperCase().padStart(2, "0")}>`;
      at++;
    }
  }
  return text;
}
