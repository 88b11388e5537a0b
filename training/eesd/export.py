"""Stage `export`: the blocks of a checkpoint as files; or a file again, with fewer tokens and what `eesd.evaluate` measured of it; or a random one.

    python -m eesd.export --target TARGET.gguf --checkpoint exits.pt --out FOLDER --name NAME          writes FOLDER/NAME-N.gguf for every N
    python -m eesd.export --target TARGET.gguf --exit NAME-5.gguf --vocab 8192 --evaluation table.json --out exit.gguf --name NAME
    python -m eesd.export --random FOLDER [--window 5]

The last writes FOLDER/target.gguf (the one of `eagle.export --random`), FOLDER/exit.gguf and FOLDER/exit.json: `tokens` (the last one is the root), `tap`, the
target's states of all but the root, `rows`, the block's states of them, and `nodes` of a small tree (node 0 the root) with their states and best tokens. States of the block are those
before the final norm; the matrices are the de-quantised ones, all else is exact in fp32.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from eagle.export import rounded
from eagle.files import write_random_target
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


@torch.no_grad()
def reference(target: Target, file: ExitFile, tokens: list[int], branches: tuple[int, ...] = (3, 2, 1), best: int = 8) -> dict:
    """What the block computes over `tokens` and over a tree that gives the first `branches[d]` guesses of each node of depth d as children."""
    output = target.output[file.draft_vocab]
    nodes: list[dict] = []

    def add(path: list[int], parent: int, depth: int) -> None:
        (tap,) = target.taps(torch.tensor([path]), (file.exit_layer,))
        state = file.block.states(tap)
        top = (file.block.output_norm(state[0, -1]) @ output.T).log_softmax(-1).topk(best)
        nodes.append({
            "token": path[-1], "parent": parent, "depth": depth, "path": path, "tap": tap[0].tolist(), "state": state[0].tolist(),
            "topTokens": file.draft_vocab[top.indices].tolist(), "topLogProbs": top.values.tolist(),
        })  # fmt: skip

    add(tokens, -1, 0)
    for index, node in enumerate(nodes):  # grows while it is walked: a breadth-first tree
        if node["depth"] < len(branches):
            for token in node["topTokens"][: branches[node["depth"]]]:
                add([*node["path"], token], index, node["depth"] + 1)
    found = {"tokens": tokens, "exitLayer": file.exit_layer, "tap": nodes[0]["tap"][:-1], "rows": nodes[0]["state"][:-1]}
    for node in nodes:
        node |= {"tap": node["tap"][-1], "state": node["state"][-1]}
        del node["path"]
    return found | {"nodes": nodes}


def write_random(folder: Path, window: int, seed: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_random_target(folder / "target.gguf", seed)
    target = Target(str(folder / "target.gguf"))
    torch.manual_seed(seed)
    block = ExitBlock(target)
    block.window = window
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(torch.randn_like(parameter) * parameter.shape[1] ** -0.5 if parameter.ndim == 2 else 1 + 0.2 * torch.randn_like(parameter))
    draft_vocab = torch.randperm(target.shape.vocab)[:200]
    write_exit(folder / "exit.gguf", ExitFile(block, 3, draft_vocab, [0.5, 0.4]), target, "espalier-random-exit", "q8_0")
    tokens = torch.randint(3, target.shape.vocab, (13,)).tolist()
    found = reference(target, read_exit(folder / "exit.gguf", target), tokens)
    (folder / "exit.json").write_text(json.dumps(rounded(found)) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", help="GGUF file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--random", type=Path, metavar="FOLDER")
    source.add_argument("--checkpoint", type=Path)
    source.add_argument("--exit", type=Path, help="file of a block")
    parser.add_argument("--window", type=int, default=0, help="positions that a row of the random block sees; 0: all")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--name", default="espalier-exit")
    parser.add_argument("--layer", choices=FORMATS, default="q4_1", help="format of the matrices")
    parser.add_argument("--vocab", type=vocab_size, default=FULL, help="keep this many tokens")
    parser.add_argument("--evaluation", type=Path, help="table of `eesd.evaluate`, which has rows for a file of the name of --exit")
    args = parser.parse_args()
    if args.random:
        write_random(args.random, args.window)
        return
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
