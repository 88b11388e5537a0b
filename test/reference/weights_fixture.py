"""Writes test/fixtures/weights.json: random blocks of every kind of weights with the values that the gguf package gives them.

    python test/reference/weights_fixture.py      (needs gguf)

The file holds {kind: {"bytes": base64 of whole blocks, "values": base64 of 32-bit floats}}, 512 values of each kind. The bytes
are random but for the 16-bit floats among them, which are kept finite.
"""

import base64
import json
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

VALUES = 512

# Where a block holds 16-bit floats.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "IQ4_NL": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}


def blocks(kind, rng):
    size, count = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    data = rng.integers(0, 256, (VALUES // size, count), dtype=np.uint8)
    for at in HALVES[kind]:
        halves = (rng.normal(size=len(data)) / 16).astype(np.float16)
        data[:, at : at + 2] = halves.view(np.uint8).reshape(-1, 2)
    return data


def floats(kind, rng):
    values = rng.normal(size=VALUES).astype(np.float32)
    if kind == "F16":
        return values.astype(np.float16).view(np.uint8)
    if kind == "BF16":
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    return values.view(np.uint8)


def main():
    rng = np.random.default_rng(4)
    text = lambda array: base64.b64encode(array.tobytes()).decode()
    fixture = {}
    for kind in ["F32", "F16", "BF16", *HALVES]:
        data = blocks(kind, rng) if kind in HALVES else floats(kind, rng)
        values = dequantize(data, GGMLQuantizationType[kind]).astype("<f4")
        assert np.isfinite(values).all() and values.size == VALUES
        fixture[kind] = {"bytes": text(data), "values": text(values)}
    path = Path(__file__).parent.parent / "fixtures" / "weights.json"
    path.write_text(json.dumps(fixture, indent=1) + "\n")


main()
