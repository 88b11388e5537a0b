"""Stage `train`: a head learns what its target says next, from texts that the target wrote.

    python -m eagle.train --target TARGET.gguf --texts data/texts --out data/head.pt --kind eagle-fused --vocab 16384 --seconds 420

The target runs in the same process; its states are never stored. Kind `eagle-fused` learns on its own roll-outs: `--depths` rows of a chain
behind every position, each fed with the state of the one before, weighted 0.9^depth (EAGLE-3, HASS). Kind `eagle-1` learns one row, and that its
state be the target's next one (smooth L1, as in EAGLE). Targets are the target's distributions over the draft vocabulary, at
positions of answers.

The schedule runs on progress = the larger of steps done / `--steps` and seconds done / `--seconds`. The last part (from progress QUANTISED)
trains with matrices rounded to what the file will hold. `--stage-seconds` ends this call early; calling again goes on from the checkpoint.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from story import quantise

from .head import Head, HeadShape, Rows, shape_for
from .target import Target
from .texts import Batch, batches, most_frequent, read_texts

WARMUP, QUANTISED, FLOOR = 0.02, 0.75, 0.01
DECAY = 0.9  # weight of a depth over that of the one before
REGRESSION = 10.0  # weight of smooth L1 over that of cross-entropy, kind eagle-1
FORMATS = {"f32": lambda x: x, "q8_0": quantise.q8_0, "q4_1": quantise.q4_1, "q4_0": quantise.q4_0}


def rate(progress: float) -> float:
    """Warm-up, then a cosine down to FLOOR."""
    if progress < WARMUP:
        return max(progress / WARMUP, 0.01)
    along = min((progress - WARMUP) / (1 - WARMUP), 1.0)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * along))


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
    """Distributions of the target over the draft vocabulary."""

    def __init__(self, target: Target, draft_vocab: torch.Tensor):
        rest = torch.ones(target.shape.vocab, dtype=torch.bool)
        rest[draft_vocab] = False
        order = torch.cat((draft_vocab, rest.nonzero().flatten())).to(target.device)
        self.matrix, self.rows = target.output[order], len(draft_vocab)

    @torch.no_grad()
    def distributions(self, final: torch.Tensor, part: int = 2048) -> torch.Tensor:
        """[positions, draft vocabulary] of hidden states [positions, hidden] after the final norm; what other tokens get is left out."""
        found = torch.empty(len(final), self.rows, dtype=final.dtype, device=final.device)
        for begin in range(0, len(final), part):
            logits = F.linear(final[begin : begin + part], self.matrix).float()
            found[begin : begin + part] = (logits[:, : self.rows] - logits.logsumexp(-1, keepdim=True)).exp()
        return found


class Losses:
    """What a head is judged by on a batch."""

    def __init__(self, target: Target, head: Head, draft_vocab: torch.Tensor, depths: int, noise: float):
        self.target, self.head, self.depths, self.noise = target, head, depths, noise
        self.judge = Judge(target, draft_vocab)

    def __call__(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and at each depth [2]: mean cross-entropy, and how often the head's best token is the target's."""
        target, head, tokens = self.target, self.head, batch.tokens
        layers = target.shape.layers
        with torch.no_grad():
            taps = target.taps(tokens, (*head.shape.taps, layers))
            final = target.final(taps[-1])
            judged = learnt(batch.chosen, 0)  # row r: position r + 1 says what is right
            place = judged.flatten().cumsum(0).view_as(judged) - 1
            right = self.judge.distributions(final[:, 1:][judged])
        rows = torch.arange(tokens.shape[1] - 1, device=tokens.device)
        embedded = target.embedding[tokens[:, 1:]]
        feature = head.feature([tap[:, :-1] for tap in taps[:-1]])
        past: list[Rows] = []
        loss, told = 0.0, []
        for depth in range(self.depths):
            past.append(head.follow(ahead(embedded, depth), feature, rows + depth, past, self.noise))
            feature = past[-1].state
            counts = learnt(batch.chosen, depth)
            wanted = right[ahead(place.unsqueeze(-1), depth)[..., 0][counts]]
            guessed = head.guess(feature[counts])
            cross = -(wanted * guessed).sum() / max(1, len(guessed))
            loss = loss + DECAY**depth * cross
            if head.shape.kind == "eagle-1":
                near = F.smooth_l1_loss(head.output_norm(feature[counts]).float(), target.final(ahead(taps[-1][:, 1:], depth)[counts]).float())
                loss = loss + DECAY**depth * REGRESSION * near
            with torch.no_grad():
                told.append(torch.stack((cross.detach(), (guessed.argmax(-1) == wanted.argmax(-1)).float().mean())))
        return loss, torch.stack(told)


class Trainer:
    """Exact weights in float32 (`exact`), and the head that runs: bf16 on a GPU, rounded to the file's format near the end."""

    def __init__(self, shape: HeadShape, target: Target, draft_vocab: torch.Tensor, depths: int, formats: tuple[str, str], peak: float, noise: float):
        torch.manual_seed(1)
        head = Head(shape)
        head.begin(target, draft_vocab)
        head = head.to(target.device)
        self.exact = {name: p.detach().clone() for name, p in head.named_parameters()}
        self.head, self.formats, self.quantised, self.peak = head.to(target.dtype), formats, False, peak
        self.adam = torch.optim.AdamW(self.exact.values(), lr=peak, betas=(0.9, 0.95), weight_decay=0.0)
        self.losses = Losses(target, self.head, draft_vocab, depths, noise)
        self.load()

    @torch.no_grad()
    def load(self) -> None:
        for name, parameter in self.head.named_parameters():
            exact = self.exact[name]
            rounded = FORMATS[self.formats[name == "output.weight"]] if self.quantised and exact.ndim == 2 else FORMATS["f32"]
            parameter.copy_(rounded(exact))
            parameter.grad = None

    def step(self, batch: Batch, scale: float) -> torch.Tensor:
        loss, told = self.losses(batch)
        loss.backward()
        for name, parameter in self.head.named_parameters():
            self.exact[name].grad = parameter.grad.float()
        torch.nn.utils.clip_grad_norm_(self.exact.values(), 1.0)
        for group in self.adam.param_groups:
            group["lr"] = self.peak * scale
        self.adam.step()
        self.load()
        return told

    @torch.no_grad()
    def held_out(self, some: list[Batch]) -> torch.Tensor:
        noise, self.losses.noise = self.losses.noise, 0.0
        told = torch.stack([self.losses(batch)[1] for batch in some]).mean(0)
        self.losses.noise = noise
        return told


def show(told: torch.Tensor) -> str:
    cross, best = told.T.tolist()
    return f"cross-entropy {' '.join(f'{x:.3f}' for x in cross)}, best token right {' '.join(f'{x:.3f}' for x in best)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, help="GGUF file")
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint")
    parser.add_argument("--kind", choices=("eagle-1", "eagle-fused"), default="eagle-fused")
    parser.add_argument("--inner", type=int, help="width of the feed-forward part; the target's if not given")
    parser.add_argument("--vocab", type=int, default=16384, help="tokens that the head can guess")
    parser.add_argument("--depths", type=int, help="rows of a roll-out; 4, for eagle-1 1")
    parser.add_argument("--layer", choices=FORMATS, default="q4_1", help="format of the matrices of the layer")
    parser.add_argument("--output", choices=FORMATS, default="q4_1", help="format of the output matrix")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--noise", type=float, help="on features; 0, for eagle-1 0.1")
    parser.add_argument("--tokens", type=int, default=16384, help="a step")
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=420)
    parser.add_argument("--stage-seconds", type=float, default=1e9)
    parser.add_argument("--held-out", type=int, default=64, help="texts to look at progress on")
    args = parser.parse_args()
    entered = time.time()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target = Target(args.target, device)
    texts = read_texts(args.texts)
    learn, aside = [text for text in texts if not text.held_out], [text for text in texts if text.held_out][: args.held_out]
    first = args.kind == "eagle-1"
    depths, noise = args.depths or (1 if first else 4), (0.1 if first else 0.0) if args.noise is None else args.noise
    rows, share = most_frequent(learn, min(args.vocab, target.shape.vocab), target.shape.vocab)
    draft_vocab = torch.from_numpy(rows)
    step, spent, seen = 0, 0.0, 0
    saved = torch.load(args.out, map_location=device) if args.out.exists() else None
    if saved:
        draft_vocab = saved["draft_vocab"].cpu()
    shape = shape_for(target, args.kind, args.inner or target.shape.inner, len(draft_vocab))
    trainer = Trainer(shape, target, draft_vocab, depths, (args.layer, args.output), args.rate, noise)
    if saved:
        step, spent, seen = saved["step"], saved["spent"], saved["seen"]
        with torch.no_grad():
            for name, value in saved["head"].items():
                trainer.exact[name].copy_(value)
        trainer.adam.load_state_dict(saved["adam"])
        trainer.load()
        print(f"train: goes on from step {step}", flush=True)
    some = [batch.to(device) for batch in batches(aside, min(args.tokens, 8192), 0)]
    print(f"train: {sum(p.numel() for p in trainer.exact.values())} parameters, {len(learn)} texts, {len(aside)} held out, draft vocabulary of "
          f"{len(draft_vocab)} with {share:.4f} of the answers, after {time.time() - entered:.0f} s", flush=True)  # fmt: skip

    def save() -> None:
        part = args.out.with_suffix(".part")
        torch.save({
            "head": trainer.exact, "adam": trainer.adam.state_dict(), "kind": args.kind, "inner": shape.inner, "draft_vocab": draft_vocab, "depths": depths,
            "step": step, "spent": spent + time.time() - began, "seen": seen,
        }, part)  # fmt: skip
        os.replace(part, args.out)

    began = told = kept = time.time()
    losses: list[torch.Tensor] = []
    since = seen
    coming = iter(())
    while True:
        progress = max(step / args.steps, (spent + time.time() - began) / args.seconds)
        if progress >= 1 or time.time() - entered > args.stage_seconds:
            break
        if progress >= QUANTISED and not trainer.quantised:
            trainer.quantised = True
            trainer.load()
        batch = next(coming, None)
        if batch is None:
            coming = batches(learn, args.tokens, step + 1)
            continue
        losses.append(trainer.step(batch.to(device), rate(progress)))
        step, seen = step + 1, seen + batch.tokens.numel()
        if step % 10 == 0:
            losses[-1].tolist()  # keeps the queue of the GPU short, so that the clock is right
        if time.time() - told > 15:
            print(f"train: step {step}, progress {progress:.3f}, {show(torch.stack(losses).mean(0))}, {(seen - since) / (time.time() - told):.0f} tokens/s", flush=True)
            told, losses, since = time.time(), [], seen
        if time.time() - kept > 60:
            save()
            if some:
                print(f"train: held out: {show(trainer.held_out(some))}", flush=True)
            kept = time.time()
    save()
    if some:
        print(f"train: held out: {show(trainer.held_out(some))}", flush=True)
    print(f"train: {'done' if progress >= 1 else 'to be continued'}, step {step}, {seen} tokens", flush=True)


if __name__ == "__main__":
    main()
