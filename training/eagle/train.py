"""Stage `train`: a head learns what its target says next, from texts that the target wrote.

    python -m eagle.train --target TARGET.gguf --texts data/texts --out data/head.pt --kind eagle-fused --vocab 16384 --seconds 420

The target runs in the same process; its states are never stored. Kind `eagle-fused` learns on its own roll-outs: `--depths` rows of a chain
behind every position, each fed with the state of the one before, weighted 0.9^depth (EAGLE-3, HASS). Kind `eagle-1` learns one row, and that its
state be the target's next one (smooth L1, as in EAGLE). Targets are the target's distributions over the draft vocabulary, at
positions of answers.

loop.py says how time and formats go.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from .files import read_head
from .head import Head, Rows, shape_for
from .loop import FORMATS, Trainer, add_options, split, train
from .moment import moment
from .target import Target
from .texts import Batch, most_frequent, read_texts

DECAY = 0.9  # weight of a depth over that of the one before
REGRESSION = 10.0  # weight of smooth L1 over that of cross-entropy, kind eagle-1


def learnt(chosen: torch.Tensor, depth: int) -> torch.Tensor:
    """[texts, rows] whether chain r is judged at a depth: its root, its tokens and what it should guess were all chosen by the target."""
    texts, length = chosen.shape
    run = chosen[:, 1:].clone()
    for ahead in range(1, depth + 2):
        run[:, : length - 1 - ahead] &= chosen[:, 1 + ahead :]
        run[:, length - 1 - ahead :] = False
    return run


def ahead(rows: torch.Tensor, depth: int) -> torch.Tensor:
    """Row r + depth at row r; the last rows are filled with what never counts."""
    return F.pad(rows[:, depth:], (0, 0) * (rows.ndim - 2) + (0, depth))


class Judge:
    """Distributions of the target, all of its tokens counted, over those of the draft vocabulary and behind them over others."""

    def __init__(self, target: Target, draft_vocab: torch.Tensor):
        self.matrix, self.own = target.outputs(draft_vocab), len(draft_vocab)
        rest = torch.ones(target.shape.vocab, dtype=torch.bool)
        rest[draft_vocab] = False
        self.place = rest.long().cumsum(0).to(target.device) + self.own - 1  # of a token that is not in the draft vocabulary

    @torch.no_grad()
    def distributions(self, final: torch.Tensor, others: torch.Tensor, part: int = 2048) -> torch.Tensor:
        """[positions, tokens] of hidden states [positions, hidden] after the final norm; what the tokens that are left out get is missing."""
        found = torch.empty(len(final), self.own + len(others), dtype=final.dtype, device=final.device)
        columns = self.place[others]
        for begin in range(0, len(final), part):
            logits = F.linear(final[begin : begin + part], self.matrix).float()
            total = logits.logsumexp(-1, keepdim=True)
            found[begin : begin + part] = (torch.cat((logits[:, : self.own], logits[:, columns]), -1) - total).exp()
        return found


class Losses:
    """What a head is judged by on a batch."""

    def __init__(self, target: Target, head: Head, draft_vocab: torch.Tensor, text_rows: bool, depths: int, noise: float):
        self.target, self.head, self.depths, self.noise = target, head, depths, noise
        self.judge, self.draft_vocab, self.text_rows = Judge(target, draft_vocab), draft_vocab.to(target.device), text_rows

    def __call__(self, batch: Batch, learning: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and at each depth [2]: mean cross-entropy, and how often the head's best token is the target's."""
        target, head, tokens = self.target, self.head, batch.tokens
        layers = target.shape.layers
        with torch.no_grad():
            taps = target.taps(tokens, (*head.shape.taps, layers))
            final = target.final(taps[-1])
            judged = learnt(batch.chosen, 0)  # row r: position r + 1 says what is right
            start = int(judged.any(0).float().argmax()) // 64 * 64  # no chain behind an earlier row is judged
            place = judged.flatten().cumsum(0).view_as(judged) - 1
            now = moment(target, self.draft_vocab, tokens, self.text_rows)
            right = self.judge.distributions(final[:, 1:][judged], now.others)
        rows = torch.arange(tokens.shape[1] - 1, device=tokens.device)
        embedded = target.embedding[tokens[:, 1:]]
        feature = head.feature([tap[:, :-1] for tap in taps[:-1]])
        past: list[Rows] = []
        loss, told = 0.0, []
        for depth in range(self.depths):
            part = slice(start if depth else 0, None)
            past.append(head.follow(ahead(embedded, depth)[:, part], feature, rows[part] + depth, past, self.noise if learning else 0.0))
            feature = past[-1].state if depth else past[-1].state[:, start:]
            counts = learnt(batch.chosen, depth)[:, start:]
            wanted, known = right[ahead(place.unsqueeze(-1), depth)[:, start:, 0][counts]], now.known[:, start:][counts]
            wanted[:, self.judge.own :] *= known  # a chain can guess what stood in the text up to its root
            guessed = head.guess(feature[counts], now.rows, known)
            cross = -(wanted * guessed).sum() / max(1, len(guessed))
            loss = loss + DECAY**depth * cross
            if head.shape.kind == "eagle-1":
                near = F.smooth_l1_loss(head.output_norm(feature[counts]).float(), target.final(ahead(taps[-1][:, 1:], depth)[:, start:][counts]).float())
                loss = loss + DECAY**depth * REGRESSION * near
            with torch.no_grad():
                told.append(torch.stack((cross.detach(), (guessed.argmax(-1) == wanted.argmax(-1)).float().mean())))
        return loss, torch.stack(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--kind", choices=("eagle-1", "eagle-fused"), default="eagle-fused")
    parser.add_argument("--inner", type=int, help="width of the feed-forward part; the target's if not given")
    parser.add_argument("--vocab", type=int, default=16384, help="tokens that the head has rows for")
    parser.add_argument("--text-rows", action="store_true", help="learn beside the target's own output rows of the other tokens that a text has had so far, as a runtime uses them")
    parser.add_argument("--depths", type=int, help="rows of a roll-out; 4, for eagle-1 1")
    parser.add_argument("--output", choices=FORMATS, default="q4_1", help="format of the output matrix")
    parser.add_argument("--init", type=Path, help="file of a head of the same shape, to begin with its weights")
    parser.add_argument("--noise", type=float, help="on features; 0, for eagle-1 0.1")
    args = parser.parse_args()
    entered = time.time()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target = Target(args.target, device)
    learn, aside = split(read_texts(args.texts), args.held_out)
    first = args.kind == "eagle-1"
    depths, noise = args.depths or (1 if first else 4), (0.1 if first else 0.0) if args.noise is None else args.noise
    rows, share = most_frequent(learn, min(args.vocab, target.shape.vocab), target.shape.vocab, args.text_rows)
    saved = torch.load(args.out, map_location=device) if args.out.exists() else None
    draft_vocab = saved["draft_vocab"].cpu() if saved else torch.from_numpy(rows)
    shape = shape_for(target, args.kind, args.inner or target.shape.inner, len(draft_vocab))
    torch.manual_seed(1)
    head = Head(shape)
    head.begin(target, draft_vocab)
    if args.init:
        file = read_head(args.init, target)
        head.begin_with(file.head, file.draft_vocab, draft_vocab)
    losses = Losses(target, head, draft_vocab, args.text_rows, depths, noise)
    trainer = Trainer(head, target, losses, lambda name: args.output if name == "output.weight" else args.layer, args.rate)
    if saved:
        trainer.restore(saved)
    print(f"train: {sum(p.numel() for p in trainer.exact.values())} parameters, {len(learn)} texts, {len(aside)} held out, draft vocabulary of "
          f"{len(draft_vocab)} with {share:.4f} of the answers, after {time.time() - entered:.0f} s", flush=True)  # fmt: skip
    train(trainer, learn, aside, args, {"kind": args.kind, "inner": shape.inner, "draft_vocab": draft_vocab, "text_rows": args.text_rows, "depths": depths}, entered)


if __name__ == "__main__":
    main()
