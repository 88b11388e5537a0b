/** @file Looks up metadata by key and type. A value of the wrong type or out of range is an EspalierError "bad-model" that names it. */

import { EspalierError } from "../errors.ts";
import type { Gguf } from "./gguf.ts";
import { describeValue, type MetadataValue } from "./gguf-value.ts";

/** Where a number must lie; both ends belong to it. */
export interface NumberRange {
  readonly min: number;
  readonly max: number;
}

export class Metadata {
  readonly #gguf: Gguf;

  constructor(gguf: Gguf) {
    this.#gguf = gguf;
  }

  has(key: string): boolean {
    return this.#gguf.metadata.has(key);
  }

  /** The error for a model that says something it must not say. */
  bad(problem: string): EspalierError {
    return new EspalierError("bad-model", `${this.#gguf.path}: ${problem}`);
  }

  /** The error for a model that needs what this version does not have. */
  unsupported(problem: string): EspalierError {
    return new EspalierError("unsupported-architecture", `${this.#gguf.path}: ${problem}`);
  }

  /** An integer of any width; `fallback` when the key is missing, an error when there is no fallback either. */
  integer(key: string, range: NumberRange, fallback?: number): number {
    const entry = this.#entry(key, fallback);
    if (entry === undefined) return fallback!;
    const { type, value } = entry;
    const isInteger =
      typeof value === "bigint" || (typeof value === "number" && type !== "f32" && type !== "f64");
    if (!isInteger) throw this.#unfit(key, entry, "an integer");
    return this.#inRange(key, entry, Number(value), range);
  }

  /** A floating-point number, by the rules of {@link integer}. */
  float(key: string, range: NumberRange, fallback?: number): number {
    const entry = this.#entry(key, fallback);
    if (entry === undefined) return fallback!;
    if (entry.type !== "f32" && entry.type !== "f64")
      throw this.#unfit(key, entry, "a floating-point number");
    return this.#inRange(key, entry, entry.value, range);
  }

  boolean(key: string, fallback: boolean): boolean {
    const entry = this.#entry(key, fallback);
    if (entry === undefined) return fallback;
    if (entry.type !== "bool") throw this.#unfit(key, entry, "a boolean");
    return entry.value;
  }

  /** Undefined when the key is missing. */
  string(key: string): string | undefined {
    const entry = this.#gguf.metadata.get(key);
    if (entry === undefined) return undefined;
    if (entry.type !== "string") throw this.#unfit(key, entry, "a string");
    return entry.value;
  }

  /** Undefined when the key is missing. */
  strings(key: string): readonly string[] | undefined {
    const entry = this.#gguf.metadata.get(key);
    if (entry === undefined) return undefined;
    if (entry.type !== "array" || entry.of !== "string") throw this.#unfit(key, entry, "an array of strings");
    return entry.value;
  }

  /** Undefined when the key is missing, or is no array. */
  booleans(key: string): readonly boolean[] | undefined {
    const entry = this.#gguf.metadata.get(key);
    if (entry?.type !== "array") return undefined;
    if (entry.of !== "bool") throw this.#unfit(key, entry, "an array of booleans");
    return entry.value;
  }

  /** Integers of up to 32 bits; undefined when the key is missing. */
  integers(key: string): readonly number[] | undefined {
    const entry = this.#gguf.metadata.get(key);
    if (entry === undefined) return undefined;
    if (entry.type === "array" && (entry.of === "i32" || entry.of === "u32")) {
      return Array.from(entry.value as Int32Array | Uint32Array);
    }
    throw this.#unfit(key, entry, "an array of 32-bit integers");
  }

  /** Floating-point numbers; undefined when the key is missing. */
  floats(key: string): readonly number[] | undefined {
    const entry = this.#gguf.metadata.get(key);
    if (entry === undefined) return undefined;
    if (entry.type === "array" && (entry.of === "f32" || entry.of === "f64")) {
      return Array.from(entry.value as Float32Array | Float64Array);
    }
    throw this.#unfit(key, entry, "an array of floating-point numbers");
  }

  #entry(key: string, fallback: unknown): MetadataValue | undefined {
    const entry = this.#gguf.metadata.get(key);
    if (entry === undefined && fallback === undefined) throw this.bad(`metadata "${key}" is missing`);
    return entry;
  }

  #inRange(key: string, entry: MetadataValue, value: number, { min, max }: NumberRange): number {
    // Written so that NaN is out of range.
    if (!(value >= min && value <= max)) throw this.#unfit(key, entry, `from ${min} to ${max}`);
    return value;
  }

  #unfit(key: string, entry: MetadataValue, wanted: string): EspalierError {
    return this.bad(`metadata "${key}" is ${describeValue(entry)}; it must be ${wanted}`);
  }
}
