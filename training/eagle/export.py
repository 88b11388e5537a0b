"""Stage `export`: a checkpoint as the file of a head; or a random target, a random head for it, and what that head computes.

    python -m eagle.export --target TARGET.gguf --checkpoint head.pt --out head.gguf --name NAME [--layer q8_0] [--output q4_1] [--vocab 8192] [--evaluation table.json]
    python -m eagle.export --target TARGET.gguf --head big.gguf --vocab 8192 --out head.gguf --name NAME     text rows for a head that learnt without
    python -m eagle.export --random FOLDER [--kind eagle-fused] [--text-rows] [--window 5]

`--evaluation` puts the acceptance that `eagle.evaluate` measured on the same file into it. The second writes FOLDER/target.gguf, FOLDER/head.gguf and FOLDER/reference.json: `tokens` (the last one is the root), `taps` of all but the
root, as {layer: [position][hidden]}, `rows`, the states of committed rows, and `nodes` of a small tree (node 0 the root) with their
states and best tokens. States are those before the final norm; the matrices are the de-quantised ones, all else is exact in fp32.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from .files import HeadFile, read_head, write_head, write_random_target
from .head import Head, Rows, shape_for
from .target import Target


def load_checkpoint(path: Path, target: Target) -> HeadFile:
    saved = torch.load(path, map_location="cpu")
    head = Head(shape_for(target, saved["kind"], saved["inner"], len(saved["draft_vocab"])))
    head.load_state_dict({name: value.float() for name, value in saved["weights"].items()})
    return HeadFile(head.eval(), saved["draft_vocab"], saved["depths"], [0.0], saved.get("text_rows", False))


def cut_vocab(file: HeadFile, rows: int) -> HeadFile:
    """The same head with the most frequent `rows` tokens alone."""
    c = file.head.shape
    head = Head(type(c)(**{**vars(c), "vocab": rows})).eval()
    head.load_state_dict({name: value[:rows] if name == "output.weight" else value for name, value in file.head.state_dict().items()})
    return HeadFile(head, file.draft_vocab[:rows], file.trained_depths, file.acceptance, file.text_rows)


@torch.no_grad()
def beside_target(file: HeadFile, target: Target, rows: int) -> HeadFile:
    """The same head with its first `rows` tokens, and the target's own rows for others that a text holds.

    What it learnt for these tokens, but for the quarter said most, is by least squares a factor a and an offset c for each column of the target's rows.
    The norm takes a, and its own rows become (row - c) / a: an offset that all rows share does not change the softmax.
    """
    learnt, theirs = file.head.output.weight[rows // 4 : rows], target.output[file.draft_vocab[rows // 4 : rows]].float()
    mean, centred = theirs.mean(0), theirs - theirs.mean(0)
    factor = (centred * (learnt - learnt.mean(0))).sum(0) / (centred**2).sum(0)
    short = cut_vocab(file, rows)
    short.head.output.weight.copy_((short.head.output.weight - (learnt.mean(0) - factor * mean)) / factor)
    short.head.output_norm.weight.mul_(factor)
    short.text_rows = True
    return short


@torch.no_grad()
def reference(target: Target, file: HeadFile, tokens: list[int], branches: tuple[int, ...] = (3, 2, 1), best: int = 8) -> dict:
    """What the head computes over `tokens` and over a tree that gives the first `branches[d]` guesses of each node of depth d as children."""
    head, text = file.head, torch.tensor([tokens])
    length = len(tokens) - 1
    others = file.others(tokens)
    rows_of_others, vocab = target.output[others], torch.cat((file.draft_vocab, others))
    taps = target.taps(text[:, :length], head.shape.taps)
    positions = torch.arange(length)
    committed = head.follow(target.embedding[text[:, 1:]], head.feature(taps), positions, [])
    nodes: list[dict] = []
    rows: list[Rows] = []  # of each node, [1, 1, ...]

    def add(token: int, parent: int, depth: int, row: Rows) -> None:
        top = head.guess(row.state, rows_of_others)[0, 0].topk(best)
        nodes.append({
            "token": token, "parent": parent, "depth": depth, "state": row.state[0, 0].tolist(),
            "topTokens": vocab[top.indices].tolist(), "topLogProbs": top.values.tolist(),
        })  # fmt: skip
        rows.append(row)

    add(tokens[-1], -1, 0, Rows(*(t[:, -1:] for t in vars(committed).values())))
    for index, node in enumerate(nodes):  # grows while it is walked: a breadth-first tree
        if node["depth"] == len(branches):
            continue
        for token in node["topTokens"][: branches[node["depth"]]]:
            above, at = [], index
            while at > 0:
                above, at = [at, *above], nodes[at]["parent"]
            own = Rows(committed.state, *(torch.stack([getattr(rows[n], name)[:, 0] for n in above], 1).unsqueeze(1) for name in ("keys", "values"))) if above else None
            position = torch.tensor([length + node["depth"]])
            row = head.rows(target.embedding[torch.tensor([[token]])], rows[index].state, position, committed, torch.ones(1, length, dtype=torch.bool), own)
            add(token, index, node["depth"] + 1, row)
    named = {str(layer): tap[0].tolist() for layer, tap in zip(head.shape.taps, taps, strict=True)}
    return {"tokens": tokens, "taps": named, "rows": committed.state[0].tolist(), "nodes": nodes}


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def write_random(folder: Path, kind: str, text_rows: bool, window: int, seed: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_random_target(folder / "target.gguf", seed)
    target = Target(str(folder / "target.gguf"))
    torch.manual_seed(seed)
    draft_vocab = torch.randperm(target.shape.vocab)[: 96 if text_rows else 200]
    head = Head(replace(shape_for(target, kind, 96, len(draft_vocab)), window=window)).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn_like(parameter) * parameter.shape[1] ** -0.5 if parameter.ndim == 2 else 1 + 0.2 * torch.randn_like(parameter))
        head.output.weight *= 3
    write_head(folder / "head.gguf", HeadFile(head, draft_vocab, 4, [0.5, 0.4], text_rows), target, "espalier-random-head", "q8_0", "q4_1")
    file = read_head(folder / "head.gguf", target)
    tokens = torch.randint(3, target.shape.vocab, (13,)).tolist()
    (folder / "reference.json").write_text(json.dumps(rounded(reference(target, file, tokens))) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--random", type=Path, metavar="FOLDER")
    parser.add_argument("--kind", choices=("eagle-1", "eagle-fused"), default="eagle-fused", help="of the random head")
    parser.add_argument("--text-rows", action="store_true", help="the random head guesses tokens of the text with the target's rows")
    parser.add_argument("--target", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--head", type=Path, help="instead of a checkpoint: a head that is to have text rows")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--name", default="espalier-eagle")
    parser.add_argument("--layer", choices=("f32", "q8_0", "q4_1", "q4_0"), default="q4_1")
    parser.add_argument("--output", choices=("f32", "q8_0", "q4_1", "q4_0"), default="q4_1")
    parser.add_argument("--vocab", type=int, help="keep this many tokens")
    parser.add_argument("--window", type=int, help="positions that a row sees; 0: all; as in --head, if it is not given")
    parser.add_argument("--evaluation", type=Path, help="table of `eagle.evaluate`, which has a row for a file of the name of --out")
    args = parser.parse_args()
    if args.random:
        write_random(args.random, args.kind, args.text_rows, args.window or 0)
        return
    target = Target(str(args.target))
    if args.head:
        file = beside_target(read_head(args.head, target), target, args.vocab)
    else:
        file = load_checkpoint(args.checkpoint, target)
        if args.vocab:
            file = cut_vocab(file, args.vocab)
    if args.evaluation:
        file.acceptance = json.loads(args.evaluation.read_text())[args.out.name]["acceptance"]
    if args.window is not None:
        file.head.shape = replace(file.head.shape, window=args.window)
    write_head(args.out, file, target, args.name, args.layer, args.output)
    print(f"export: {args.out.name}, {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
