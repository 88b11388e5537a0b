"""Stage `shorten`: a head that guesses fewer tokens, with the first rows of another's output matrix, byte for byte.

    python -m eagle.shorten --head data/head.gguf --vocab 8192 --out data/head-8192.gguf --evaluation data/head.json

Rows stand by falling frequency, so the first ones are those to keep. `--evaluation` is a table of `eagle.evaluate` that has a head
of the name of `--out`; its acceptance goes into the file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gguf

from .files import ARCHITECTURE, close, copy_keys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, required=True)
    parser.add_argument("--vocab", type=int, required=True)
    parser.add_argument("--evaluation", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    reader = gguf.GGUFReader(str(args.head))
    rows = len(reader.fields[f"{ARCHITECTURE}.draft_vocab"].contents())
    if not 0 < args.vocab <= rows:
        parser.error(f"--vocab is {args.vocab}; {args.head} has {rows} rows")
    changed = {
        f"{ARCHITECTURE}.draft_vocab": reader.fields[f"{ARCHITECTURE}.draft_vocab"].contents()[: args.vocab],
        f"{ARCHITECTURE}.acceptance": json.loads(args.evaluation.read_text())[args.out.name]["acceptance"],
    }
    writer = gguf.GGUFWriter(str(args.out), ARCHITECTURE)
    copy_keys(reader, writer, changed)
    for tensor in reader.tensors:
        data = tensor.data[: args.vocab] if tensor.name == "output.weight" else tensor.data
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    close(writer)
    print(f"shorten: {args.out.name}, {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
