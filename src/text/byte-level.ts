/**
 * @file The alphabet of byte-level vocabularies (GPT-2): each of the 256 bytes is written as one printable character.
 * Bytes that print stand for themselves, the others take the characters from U+0100 on, in order.
 */

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/** Character code by byte. */
const codeOf = new Uint16Array(256);
/** Byte by character code; -1 where the alphabet has no such character. */
const byteOf = new Int16Array(0x144).fill(-1);
for (let byte = 0, next = 0x100; byte < 256; byte++) {
  codeOf[byte] = isPrintable(byte) ? byte : next++;
  byteOf[codeOf[byte]!] = byte;
}

/** The UTF-8 bytes of a text, in the alphabet. */
export function byteLevelUnits(text: string): Uint16Array {
  const bytes = Buffer.from(text);
  const units = new Uint16Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) units[i] = codeOf[bytes[i]!]!;
  return units;
}

/** The bytes that a vocabulary entry stands for, or undefined when it is not written in the alphabet. */
export function byteLevelBytes(entry: string): Uint8Array | undefined {
  const bytes = new Uint8Array(entry.length);
  for (let i = 0; i < entry.length; i++) {
    const byte = byteOf[entry.charCodeAt(i)] ?? -1;
    if (byte < 0) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}
