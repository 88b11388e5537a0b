"""Stage `train`: exit blocks learn what their target says next, from texts that the target wrote.

    python -m eesd.train --target TARGET.gguf --texts data/texts --out data/exits.pt --exits 3,5,8,10 --seconds 420

One frozen pass of the target serves all blocks; its states are never stored. A block learns by soft cross-entropy against the target's
distribution, at positions of answers. That is all it takes: what is drafted passes the target's own first layers, so a row of a draft that
is right so far is the row of the text itself, and no roll-outs are needed. eagle/loop.py says how time and formats go.
"""

from __future__ import annotations

import argparse
import time

import torch
import torch.nn.functional as F
from torch import nn

from eagle.loop import Trainer, add_options, split, train
from eagle.target import Target
from eagle.texts import Batch, most_frequent, read_texts

from .exits import ExitBlock

PART = 2**27  # logits at a time
FULL = 2**31 - 1  # a vocabulary size that no vocabulary has


class SoftCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy [guessers] of states [guessers, positions, hidden] read by the first `vocab` rows of a frozen `matrix`, against what
    `final` [positions, hidden] says by all of its rows; and [guessers] how often the best tokens are the same.

    With the matrix frozen, gradients by states are known as soon as the logits are, so these are never stored for all positions.
    """

    @staticmethod
    def forward(ctx, states: torch.Tensor, final: torch.Tensor, matrix: torch.Tensor, vocab: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows, gradient = matrix[:vocab], torch.empty_like(states)
        cross, best = torch.zeros(2, len(states), device=states.device)
        part = max(1, PART // len(matrix))
        for begin in range(0, len(final), part):
            here = slice(begin, begin + part)
            logits = F.linear(final[here], matrix).float()
            wanted = (logits[:, :vocab] - logits.logsumexp(-1, keepdim=True)).exp_()  # what other tokens get is left out
            said, mass = logits.argmax(-1), wanted.sum(-1, keepdim=True)
            for n, state in enumerate(states[:, here]):
                guessed = F.linear(state, rows).float().log_softmax(-1)
                cross[n] -= torch.dot(wanted.flatten(), guessed.flatten())
                best[n] += (guessed.argmax(-1) == said).sum()
                gradient[n, here] = guessed.exp_().mul_(mass).sub_(wanted).to(states.dtype) @ rows
        count = max(1, len(final))
        ctx.save_for_backward(gradient)
        ctx.count = count
        ctx.mark_non_differentiable(best)
        return cross / count, best.div_(count)

    @staticmethod
    def backward(ctx, by_cross: torch.Tensor, _) -> tuple:
        (gradient,) = ctx.saved_tensors
        return gradient * (by_cross / ctx.count).to(gradient.dtype)[:, None, None], None, None, None


class Losses:
    """What blocks behind each of the layers `exits` are judged by on a batch."""

    def __init__(self, target: Target, blocks: nn.ModuleDict, draft_vocab: torch.Tensor):
        self.target, self.blocks, self.vocab = target, blocks, len(draft_vocab)
        self.matrix = target.outputs(draft_vocab)

    def __call__(self, batch: Batch, learning: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and of each block [2]: mean cross-entropy, and how often its best token is the target's."""
        target, judged = self.target, batch.chosen[:, 1:]  # row i is judged where the target chose token i + 1
        with torch.no_grad():
            *taps, last = target.taps(batch.tokens[:, :-1], (*map(int, self.blocks), target.shape.layers))
            final = target.final(last[judged])
        states = torch.stack([block(tap)[judged] for block, tap in zip(self.blocks.values(), taps, strict=True)])
        cross, best = SoftCrossEntropy.apply(states, final, self.matrix, self.vocab)
        return cross.sum(), torch.stack((cross.detach(), best), 1)


def layers(text: str) -> list[int]:
    return sorted({int(part) for part in text.split(",")})


def vocab_size(text: str) -> int:
    return FULL if text == "full" else int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--exits", type=layers, required=True, help="the target's layers before each block, as in 3,5,8")
    parser.add_argument("--vocab", type=vocab_size, default=FULL, help='tokens that a block can guess, or "full"')
    args = parser.parse_args()
    entered = time.time()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target = Target(args.target, device)
    depth = target.shape.layers
    if not all(0 < n < depth for n in args.exits):
        raise SystemExit(f"exits must be layers 1 to {depth - 1} of {target.name!r}, not {args.exits}")
    learn, aside = split(read_texts(args.texts), args.held_out)
    rows, share = most_frequent(learn, min(args.vocab, target.shape.vocab), target.shape.vocab)
    saved = torch.load(args.out, map_location=device) if args.out.exists() else None
    if saved and saved["exits"] != args.exits:
        raise SystemExit(f"{args.out} has blocks behind layers {saved['exits']}, not {args.exits}; name another file")
    draft_vocab = saved["draft_vocab"].cpu() if saved else torch.from_numpy(rows)
    blocks = nn.ModuleDict({str(n): ExitBlock(target) for n in args.exits})
    for block in blocks.values():
        block.begin(target)
    trainer = Trainer(blocks, target, Losses(target, blocks, draft_vocab), lambda name: args.layer, args.rate)
    if saved:
        trainer.restore(saved)
    print(f"train: {sum(p.numel() for p in trainer.exact.values())} parameters in blocks behind layers {', '.join(blocks)}, {len(learn)} texts, {len(aside)} held out, "
          f"draft vocabulary of {len(draft_vocab)} with {share:.4f} of the answers, after {time.time() - entered:.0f} s", flush=True)  # fmt: skip
    train(trainer, learn, aside, args, {"exits": args.exits, "draft_vocab": draft_vocab}, entered)


if __name__ == "__main__":
    main()
