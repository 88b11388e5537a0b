/**
 * @file A model's weights on their way from the file into the engine's layout. The file is read once, front to back, half a
 * megabyte at a time; nothing of it stays in memory but the engine's own copy.
 */

import type { LayerTensors, ModelTensors } from "../checkpoint/model-tensors.ts";
import type { TensorFile, TensorInfo } from "../checkpoint/tensor-table.ts";
import { EspalierError } from "../errors.ts";
import type { Arena, Binding, LayerWeights, Matrix } from "./binding.ts";

/**
 * Bytes read at a time, and how many such parts are under way at once: one is read while others are laid out. Larger parts are no faster, and are
 * garbage afterwards that nothing collects for long.
 */
const PART = 512 << 10;
const PARTS = 4;
/** Rows that lie side by side in the engine. */
const GROUP = 16;

export interface Weights {
  readonly arena: Arena;
  readonly embedding: Matrix;
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: Float32Array;
  readonly head: Matrix;
  readonly ropeFactors: Float32Array | undefined;
}

interface Part {
  readonly tensor: TensorInfo;
  readonly matrix: Matrix;
  readonly first: number;
  readonly rows: number;
  readonly rowBytes: number;
}

/** How weights are kept: with the values of the file, or with 4 bits where the file has more. */
export type WeightPrecision = "file" | "q4";

export interface ReadOptions {
  /** Default "file". */
  readonly precision?: WeightPrecision;
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

/** Reads every weight. Throws what `file.read` throws, and EspalierError "out-of-memory". */
export async function readWeights(
  binding: Binding,
  file: TensorFile,
  tensors: ModelTensors,
  options: ReadOptions = {},
): Promise<Weights> {
  const all = new Set([tensors.embedding, tensors.head, ...tensors.layers.flatMap(matricesOf)]);
  const { arena, matrix } = await readMatrices(binding, file, all, options);
  try {
    const layers: LayerWeights[] = [];
    for (const layer of tensors.layers) layers.push(await readLayer(file, layer, matrix));
    const finalNorm = await readVector(file, tensors.outputNorm);
    const ropeFactors = tensors.ropeFactors && (await readFactors(file, tensors.ropeFactors));
    const [embedding, head] = [matrix(tensors.embedding), matrix(tensors.head)];
    return { arena, embedding, layers, finalNorm, head, ropeFactors };
  } catch (error) {
    binding.release(arena);
    throw error;
  }
}

/** A layer whose matrices are read already; reads its vectors. */
export async function readLayer(
  file: TensorFile,
  layer: LayerTensors,
  matrix: (tensor: TensorInfo) => Matrix,
): Promise<LayerWeights> {
  const optional = async (tensor: TensorInfo | undefined) => tensor && (await readVector(file, tensor));
  return {
    attentionNorm: await optional(layer.attentionNorm),
    feedNorm: await readVector(file, layer.feedForwardNorm),
    query: matrix(layer.query),
    key: matrix(layer.key),
    value: matrix(layer.value),
    output: matrix(layer.output),
    gate: matrix(layer.gate),
    up: matrix(layer.up),
    down: matrix(layer.down),
    queryBias: await optional(layer.queryBias),
    keyBias: await optional(layer.keyBias),
    valueBias: await optional(layer.valueBias),
    queryNorm: await optional(layer.queryNorm),
    keyNorm: await optional(layer.keyNorm),
    attentionPostNorm: await optional(layer.attentionPostNorm),
    feedPostNorm: await optional(layer.feedForwardPostNorm),
  };
}

/** Reads matrices into an arena of their own; throws as {@link readWeights} does, and then nothing is left of it. */
export async function readMatrices(
  binding: Binding,
  file: TensorFile,
  tensors: Iterable<TensorInfo>,
  { precision = "file", onProgress }: ReadOptions = {},
): Promise<{ arena: Arena; matrix: (tensor: TensorInfo) => Matrix }> {
  const matrices = new Map<TensorInfo, Matrix>();
  const all = new Set(tensors);
  const fourBit = precision === "q4";
  let bytes = 0;
  for (const tensor of all) {
    bytes += binding.matrixBytes(tensor.type.id, fourBit, tensor.shape[1]!, tensor.shape[0]!);
  }
  const arena = binding.createArena(bytes);
  if (!arena) {
    throw new EspalierError(
      "out-of-memory",
      `no memory for ${Math.ceil(bytes / 2 ** 20)} MB of weights of ${file.path}`,
    );
  }
  try {
    const parts: Part[] = [];
    for (const tensor of [...all].sort((a, b) => a.offset - b.offset)) {
      const [cols, rows] = tensor.shape as [number, number];
      const matrix = binding.createMatrix(arena, tensor.type.id, fourBit, rows, cols);
      if (!matrix) throw new Error(`internal: no matrix for ${tensor.name}`);
      matrices.set(tensor, matrix);
      const rowBytes = tensor.byteLength / rows;
      const step = Math.max(1, Math.floor(PART / (rowBytes * GROUP))) * GROUP;
      for (let first = 0; first < rows; first += step) {
        parts.push({ tensor, matrix, first, rows: Math.min(step, rows - first), rowBytes });
      }
    }
    await fill(binding, file, parts, onProgress);
    return { arena, matrix: (tensor) => matrices.get(tensor)! };
  } catch (error) {
    binding.release(arena);
    throw error;
  }
}

export function matricesOf({ query, key, value, output, gate, up, down }: LayerTensors): TensorInfo[] {
  return [query, key, value, output, gate, up, down];
}

/** Several workers take parts in order, each with a buffer of its own. All have stopped when this returns or throws. */
async function fill(
  binding: Binding,
  file: TensorFile,
  parts: readonly Part[],
  onProgress?: (fraction: number) => void,
): Promise<void> {
  let next = 0;
  let done = 0;
  let failed = false;
  const largest = parts.reduce((most, { rows, rowBytes }) => Math.max(most, rows * rowBytes), 0);
  const worker = async () => {
    const buffer = new Uint8Array(largest);
    while (!failed && next < parts.length) {
      const { tensor, matrix, first, rows, rowBytes } = parts[next++]!;
      const bytes = buffer.subarray(0, rows * rowBytes);
      try {
        await file.read(tensor, bytes, first * rowBytes);
        await binding.fillMatrix({ matrix, first, rows, bytes });
      } catch (error) {
        failed = true;
        throw error;
      }
      onProgress?.(++done / parts.length);
    }
  };
  const workers = Math.min(PARTS, parts.length);
  const results = await Promise.allSettled(Array.from({ length: workers }, worker));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** Divisors of angles: none so small or large that positions could not be told apart. */
async function readFactors(file: TensorFile, tensor: TensorInfo): Promise<Float32Array> {
  const factors = await readVector(file, tensor);
  for (const factor of factors) {
    if (factor >= 1 / 16 && factor <= 65_536) continue;
    throw new EspalierError(
      "bad-model",
      `${file.path}: tensor "${tensor.name}" has a factor of ${factor}; they must be from 1/16 to 65536`,
    );
  }
  return factors;
}

/** Values of a norm or a bias: F32, F16 or BF16 in the file. */
export async function readVector(file: TensorFile, tensor: TensorInfo): Promise<Float32Array> {
  const bytes = new Uint8Array(tensor.byteLength);
  await file.read(tensor, bytes);
  const view = new DataView(bytes.buffer);
  const wide = tensor.type.name === "F32";
  return Float32Array.from({ length: bytes.length / (wide ? 4 : 2) }, (_, i) => {
    if (wide) return view.getFloat32(4 * i, true);
    const bits = view.getUint16(2 * i, true);
    return tensor.type.name === "F16" ? fromHalf(bits) : fromBrainFloat(bits);
  });
}

/** The value of a 16-bit float. */
function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The value of the upper 16 bits of a 32-bit float. */
function fromBrainFloat(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, bits);
  return view.getFloat32(0);
}
