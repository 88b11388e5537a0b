/** @file The tensor types a GGUF file may name, how many bytes their blocks take, and which ones the engine reads. Q8_1 and Q8_K are left out: they exist only while computing. */

export interface GgmlType {
  /** The number that stands for it in a file. */
  readonly id: number;
  readonly name: string;
  /** Values per block; a row holds whole blocks. */
  readonly blockSize: number;
  readonly blockBytes: number;
}

const types: readonly GgmlType[] = (
  [
    [0, "F32", 1, 4],
    [1, "F16", 1, 2],
    [2, "Q4_0", 32, 18],
    [3, "Q4_1", 32, 20],
    [6, "Q5_0", 32, 22],
    [7, "Q5_1", 32, 24],
    [8, "Q8_0", 32, 34],
    [10, "Q2_K", 256, 84],
    [11, "Q3_K", 256, 110],
    [12, "Q4_K", 256, 144],
    [13, "Q5_K", 256, 176],
    [14, "Q6_K", 256, 210],
    [16, "IQ2_XXS", 256, 66],
    [17, "IQ2_XS", 256, 74],
    [18, "IQ3_XXS", 256, 98],
    [19, "IQ1_S", 256, 50],
    [20, "IQ4_NL", 32, 18],
    [21, "IQ3_S", 256, 110],
    [22, "IQ2_S", 256, 82],
    [23, "IQ4_XS", 256, 136],
    [24, "I8", 1, 1],
    [25, "I16", 1, 2],
    [26, "I32", 1, 4],
    [27, "I64", 1, 8],
    [28, "F64", 1, 8],
    [29, "IQ1_M", 256, 56],
    [30, "BF16", 1, 2],
    [34, "TQ1_0", 256, 54],
    [35, "TQ2_0", 256, 66],
    [39, "MXFP4", 32, 17],
    [40, "NVFP4", 64, 36],
    [41, "Q1_0", 128, 18],
  ] as const
).map(([id, name, blockSize, blockBytes]) => ({ id, name, blockSize, blockBytes }));

const byId: ReadonlyMap<number, GgmlType> = new Map(types.map((type) => [type.id, type]));

/** The type with this number, or undefined when no such type is known. */
export function ggmlType(id: number): GgmlType | undefined {
  return byId.get(id);
}

/** The type with this name, such as "Q4_1"; throws RangeError when there is none. */
export function ggmlTypeNamed(name: string): GgmlType {
  const found = types.find((type) => type.name === name);
  if (found === undefined) throw new RangeError(`no GGML type is called ${name}`);
  return found;
}

/** Names of the types the engine multiplies with. */
export const matrixTypes: readonly string[] = [
  ...["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"],
  ...["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"],
];

/** Names of the types the engine reads norm and bias vectors from. */
export const vectorTypes: readonly string[] = ["F32", "F16", "BF16"];
