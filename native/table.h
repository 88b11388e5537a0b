/* table.h - the end of an instruction set's file: its table of kernels. The file defines TABLE, TABLE_NAME and USABLE. */
const EspKernels TABLE = {
    .name = TABLE_NAME,
    .usable = USABLE,
    .matmul = matmul,
    .quantize = quantize,
    .rms_norm = rms_norm,
    .add = add,
    .silu_times = silu_times,
    .gelu_times = gelu_times,
    .soft_cap = soft_cap,
    .dequantize_row = dequantize_row,
    .store_half = halves,
    .attention = attention,
    .join = join,
    .chunk_softmax = chunk_softmax,
    .exp_one = exp_one,
    .pick = pick,
};
