/** @file Mutations of what a GGUF file says: keys, values, arrays, tensors. The file stays well-formed where the mutation allows. */

import { ggmlType } from "../../src/checkpoint/ggml-types.ts";
import type { GgufFile, GgufTensor, GgufTypeName, GgufValue } from "../gguf-writer.ts";
import { nastyInteger } from "./bytes.ts";
import type { Chance } from "./chance.ts";

type Entry = GgufFile["metadata"][number];

const bits = { u8: 8, i8: 8, u16: 16, i16: 16, u32: 32, i32: 32, u64: 64, i64: 64 } as const;
const floats = [0, -0, 1, -1, 0.5, 1e-40, 1e-12, 1e12, 3e38, Number.NaN, Infinity, -Infinity];
const types = ["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bool", "string"] as const;

const texts: readonly (string | Uint8Array)[] = [
  "",
  " ",
  "  ",
  "a",
  "a b",
  " b",
  "a b c",
  "\0",
  "\n",
  "Ġ",
  "é",
  "😀",
  "\ufffd",
  "[",
  "(",
  "|",
  "\\",
  "$&",
  "a|",
  "__proto__",
  "constructor",
  "toString",
  "<|im_end|>",
  "<0x41>",
  "<0xZZ>",
  "<s>",
  "▁",
  "gpt2",
  "llama",
  "default",
  "llama-bpe",
  "qwen2",
  "none",
  "yarn",
  Buffer.of(0xff),
  Buffer.of(0xed, 0xa0, 0x80),
  Buffer.of(0xc3),
  "x".repeat(70_000),
  "(a+)+".repeat(40),
];

const templates: readonly string[] = [
  "",
  "{{",
  "{% for m in messages %}",
  "{{ messages }}",
  "{{ raise_exception('no') }}",
  "{{ messages[0].content.x.y }}",
  "{{ undefined_function() }}",
  "{% set x = namespace(a=1) %}{{ x.a }}",
  "{% for i in range(1000000000) %}x{% endfor %}",
  "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = a * b %}{% endfor %}{% endfor %}",
  "{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
  "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s | length }}",
  "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}",
  "{{ 'a\nb' | indent(400000000) }}",
  "{{ messages | tojson(indent=400000000) }}",
  "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(40) %}{% set ns.s = ns.s | replace('x', 'xxxxxxxx') %}{% endfor %}",
  `{{ ${"(".repeat(20_000)}1${")".repeat(20_000)} }}`,
  `{{ ${"[".repeat(20_000)} }}`,
  `{% if 1 %}${"{% if 1 %}".repeat(5_000)}`,
  `{{ ${"not ".repeat(20_000)}1 }}`,
  `{{ 1${" + 1".repeat(20_000)} }}`,
];

function nastyScalar(
  chance: Chance,
  type: GgufTypeName,
  old: unknown,
): number | bigint | boolean | string | Uint8Array {
  if (type === "string") return chance.of(texts);
  if (type === "bool") return chance.once(2);
  if (type === "f32" || type === "f64") return chance.of(floats);
  const value =
    typeof old === "bigint" || (typeof old === "number" && Number.isInteger(old)) ? BigInt(old) : 1n;
  const width = bits[type as keyof typeof bits];
  const nasty = nastyInteger(chance, value);
  return type.startsWith("i") ? BigInt.asIntN(width, nasty) : BigInt.asUintN(width, nasty);
}

function nastyValue(chance: Chance, old: GgufValue): GgufValue {
  if (old.type !== "array") {
    const type = chance.once(3) ? chance.of(types) : old.type;
    return { type, value: nastyScalar(chance, type, old.value) } as GgufValue;
  }
  const value = [...old.value];
  const at = chance.below(value.length + 1);
  switch (chance.below(7)) {
    case 0:
      return { type: "string", value: chance.of(texts) };
    case 1:
      value.splice(at, chance.of([1, 1, 10, 1000]));
      return { ...old, value };
    case 2:
      value.splice(at, 0, nastyScalar(chance, old.of, value[at]));
      return { ...old, value };
    case 3:
      value.splice(at, 1, value[chance.below(value.length)] ?? nastyScalar(chance, old.of, 0));
      return { ...old, value };
    case 4:
      return { ...old, value: [] };
    case 5: {
      const of = chance.of(types);
      return { type: "array", of, value: value.slice(0, 8).map((item) => nastyScalar(chance, of, item)) };
    }
    default:
      for (let left = chance.of([1, 1, 1, 20, 300]); left > 0 && value.length > 0; left--) {
        const which = chance.below(value.length);
        value[which] = nastyScalar(chance, old.of, value[which]);
      }
      return { ...old, value };
  }
}

/** Keys that a reader may look at though the file does not have them; "llama." stands for the architecture of the file. */
const extras: readonly Entry[] = [
  ["general.alignment", { type: "u32", value: 64 }],
  ["split.count", { type: "u16", value: 2 }],
  ["llama.rope.scaling.type", { type: "string", value: "linear" }],
  ["llama.rope.scaling.factor", { type: "f32", value: 4 }],
  ["llama.rope.dimension_count", { type: "u32", value: 32 }],
  ["llama.attention.key_length", { type: "u32", value: 32 }],
  ["llama.attention.value_length", { type: "u32", value: 32 }],
  ["llama.attention.sliding_window", { type: "u32", value: 8 }],
  ["llama.vocab_size", { type: "u32", value: 259 }],
  ["llama.expert_count", { type: "u32", value: 8 }],
  ["llama.rope.scaling.original_context_length", { type: "u32", value: 64 }],
  ["llama.rope.scaling.attn_factor", { type: "f32", value: 1.2 }],
  ["llama.attn_logit_softcapping", { type: "f32", value: 50 }],
  ["llama.final_logit_softcapping", { type: "f32", value: 30 }],
  ["tokenizer.ggml.scores", { type: "array", of: "f32", value: [0, Number.NaN, -1] }],
  ["tokenizer.ggml.add_bos_token", { type: "bool", value: true }],
  ["tokenizer.ggml.add_eos_token", { type: "bool", value: true }],
  ["tokenizer.ggml.add_space_prefix", { type: "bool", value: true }],
  ["tokenizer.ggml.unknown_token_id", { type: "u32", value: 0 }],
  ["tokenizer.ggml.eot_token_id", { type: "u32", value: 1 }],
];

function architectureOf(file: GgufFile): string {
  return String(file.metadata.find(([key]) => key === "general.architecture")?.[1].value);
}

function mutateMetadata(file: GgufFile, chance: Chance): GgufFile {
  const metadata = [...file.metadata];
  const at = chance.below(metadata.length);
  const [key, value] = metadata[at]!;
  switch (chance.below(10)) {
    case 0:
      metadata.splice(at, 1);
      break;
    case 1:
      metadata.splice(chance.below(metadata.length), 0, [key, value]);
      break;
    case 2:
      metadata[at] = [chance.of(texts), value];
      break;
    case 3: {
      const other = chance.below(metadata.length);
      metadata[at] = [key, metadata[other]![1]];
      break;
    }
    case 4: {
      const [extra, usual] = chance.of(extras);
      metadata.push([
        String(extra).replace(/^llama/, architectureOf(file)),
        chance.once(2) ? usual : nastyValue(chance, usual),
      ]);
      break;
    }
    case 5: {
      const template = metadata.findIndex(([name]) => name === "tokenizer.chat_template");
      if (template >= 0)
        metadata[template] = ["tokenizer.chat_template", { type: "string", value: chance.of(templates) }];
      break;
    }
    default:
      metadata[at] = [key, nastyValue(chance, value)];
  }
  return { ...file, metadata };
}

function nastyTensor(chance: Chance, old: GgufTensor, others: readonly GgufTensor[]): GgufTensor {
  const axis = chance.below(old.shape.length);
  const shape = [...old.shape];
  switch (chance.below(9)) {
    case 0:
      return { ...old, name: chance.once(2) ? chance.of(others).name : chance.of(texts) };
    case 1:
      return { ...old, type: chance.below(48) };
    case 2:
      shape[axis] = BigInt.asUintN(64, nastyInteger(chance, BigInt(shape[axis]!)));
      return { ...old, shape };
    case 3:
      return { ...old, shape: shape.toReversed() };
    case 4:
      return { ...old, shape: chance.once(2) ? [...shape, 1] : shape.slice(0, Math.max(1, axis)) };
    case 5:
      return { ...old, offset: BigInt.asUintN(64, nastyInteger(chance, BigInt(32 * chance.below(2000)))) };
    case 6:
      return { ...old, data: old.data.subarray(0, chance.below(old.data.length + 1)) };
    case 7: {
      // A whole other type, with as many bytes as it takes.
      const type = ggmlType(chance.below(48));
      const values = shape.reduce<number>((product, size) => product * Number(size), 1);
      if (type === undefined) return old;
      return {
        ...old,
        type: type.id,
        data: Buffer.alloc(Math.ceil(values / type.blockSize) * type.blockBytes, 0x11),
      };
    }
    default:
      return { ...old, data: chance.bytes(old.data.length) };
  }
}

function mutateTensors(file: GgufFile, chance: Chance): GgufFile {
  const tensors = [...file.tensors];
  const at = chance.below(tensors.length);
  const tensor = tensors[at]!;
  const what = chance.below(8);
  if (what === 0) tensors.splice(at, 1);
  else if (what === 1) tensors.splice(chance.below(tensors.length), 0, tensor);
  else tensors[at] = nastyTensor(chance, tensor, file.tensors);
  return { ...file, tensors };
}

/** A description with one to three mutations. */
export function mutateContents(file: GgufFile, chance: Chance): GgufFile {
  let mutated = chance.once(20) ? { ...file, alignment: chance.of([1, 8, 16, 64, 4096]) } : file;
  for (let left = chance.of([1, 1, 1, 2, 3]); left > 0; left--) {
    mutated =
      chance.below(10) < 7 || mutated.tensors.length === 0
        ? mutateMetadata(mutated, chance)
        : mutateTensors(mutated, chance);
    if (mutated.metadata.length === 0) break;
  }
  return mutated;
}
