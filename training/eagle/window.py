"""Stage `window`: the same head, or exit block, whose rows see the nearest positions alone.

    python -m eagle.window --head data/head.gguf --positions 1024 --out data/head-window.gguf [--predictor ldlp.gguf --predictor-out FILE]

A layer that learnt from short texts guesses badly behind long ones, where it meets distances that it has never seen; behind a window it meets none. `--predictor` is the
length predictor of the head, which names the head's file by its hash; the one that comes out names the new file.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import gguf

from .files import close, copy_keys


def rewrite(path: Path, out: Path, name: str, value: object) -> None:
    """The file with another value, or one more, of the key `name` behind its architecture: text, or a whole number."""
    reader = gguf.GGUFReader(str(path))
    architecture = reader.fields["general.architecture"].contents()
    key = f"{architecture}.{name}"
    writer = gguf.GGUFWriter(str(out), architecture)
    copy_keys(reader, writer, {key: value})
    if key not in reader.fields:
        writer.add_key_value(key, value, gguf.GGUFValueType.STRING if isinstance(value, str) else gguf.GGUFValueType.UINT32)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    close(writer)
    print(f"window: {out.name}, {out.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, required=True)
    parser.add_argument("--positions", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--predictor", type=Path)
    parser.add_argument("--predictor-out", type=Path)
    args = parser.parse_args()
    if args.positions < 1:
        parser.error(f"--positions is {args.positions}; a row sees itself at least: give 1 or more")
    if (args.predictor is None) != (args.predictor_out is None):
        parser.error("give --predictor and --predictor-out, or neither")
    rewrite(args.head, args.out, "attention.sliding_window", args.positions)
    if args.predictor:
        rewrite(args.predictor, args.predictor_out, "head.sha256", hashlib.sha256(args.out.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
