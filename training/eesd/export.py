"""Stage `export`: the blocks of a checkpoint as files; or a file again, with fewer tokens and what `eesd.evaluate` measured of it.

    python -m eesd.export --target TARGET.gguf --checkpoint exits.pt --out FOLDER --name NAME          writes FOLDER/NAME-N.gguf for every N
    python -m eesd.export --target TARGET.gguf --exit NAME-5.gguf --vocab 8192 --evaluation table.json --out exit.gguf --name NAME
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from eagle.loop import FORMATS
from eagle.target import Target

from .exits import ExitBlock, ExitFile, read_exit, write_exit
from .train import FULL, vocab_size


def load_checkpoint(path: Path, target: Target) -> list[ExitFile]:
    saved = torch.load(path, map_location="cpu")
    files = []
    for n in saved["exits"]:
        block, prefix = ExitBlock(target), f"{n}."
        block.load_state_dict({name.removeprefix(prefix): value for name, value in saved["weights"].items() if name.startswith(prefix)})
        files.append(ExitFile(block, n, saved["draft_vocab"].cpu(), [0.0]))
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, help="GGUF file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path)
    source.add_argument("--exit", type=Path, help="file of a block")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="espalier-exit")
    parser.add_argument("--layer", choices=FORMATS, default="q4_1", help="format of the matrices")
    parser.add_argument("--vocab", type=vocab_size, default=FULL, help="keep this many tokens")
    parser.add_argument("--evaluation", type=Path, help="table of `eesd.evaluate`, which has rows for a file of the name of --exit")
    args = parser.parse_args()
    target = Target(args.target)
    if args.checkpoint:
        args.out.mkdir(parents=True, exist_ok=True)
        wanted = {args.out / f"{args.name}-{file.exit_layer}.gguf": file for file in load_checkpoint(args.checkpoint, target)}
    else:
        wanted = {args.out: read_exit(args.exit, target)}
    for path, file in wanted.items():
        file.draft_vocab = file.draft_vocab[: args.vocab]
        if args.evaluation:
            file.acceptance = json.loads(args.evaluation.read_text())[args.exit.name]["vocab"][str(len(file.draft_vocab))]["acceptance"]
        write_exit(path, file, target, f"{args.name}-{file.exit_layer}", args.layer)
        print(f"export: {path.name}, behind layer {file.exit_layer}, {len(file.draft_vocab)} tokens, {path.stat().st_size / 1e6:.2f} MB", flush=True)


if __name__ == "__main__":
    main()
