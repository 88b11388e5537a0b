"""Trains a small module beside its frozen target, on texts that the target wrote.

The schedule runs on progress = the larger of steps done / `--steps` and seconds done / `--seconds`. The last part (from progress QUANTISED)
trains with matrices rounded to what the file will hold. `--stage-seconds` ends a call early; calling again goes on from the checkpoint.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from story import quantise

from .target import Target
from .texts import Batch, Text, batches

WARMUP, QUANTISED, FLOOR = 0.02, 0.75, 0.01
FORMATS = {"f32": lambda x: x, "q8_0": quantise.q8_0, "q4_1": quantise.q4_1, "q4_0": quantise.q4_0}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", required=True, help="GGUF file")
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint")
    parser.add_argument("--layer", choices=FORMATS, default="q4_1", help="format of the matrices of the layer")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--tokens", type=int, default=16384, help="a step")
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=420)
    parser.add_argument("--stage-seconds", type=float, default=1e9)
    parser.add_argument("--held-out", type=int, default=64, help="texts to look at progress on")


def rate(progress: float) -> float:
    """Warm-up, then a cosine down to FLOOR."""
    if progress < WARMUP:
        return max(progress / WARMUP, 0.01)
    along = min((progress - WARMUP) / (1 - WARMUP), 1.0)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * along))


class Trainer:
    """Exact weights in float32 (`exact`), and the module that runs: bf16 on a GPU, rounded to the file's formats near the end.

    `losses(batch, learning)` gives the loss and what to tell of it, rows of mean cross-entropy and the share of best tokens that are right;
    `form(name)` names the format of a matrix.
    """

    def __init__(self, module: nn.Module, target: Target, losses: Callable[[Batch, bool], tuple[torch.Tensor, torch.Tensor]], form: Callable[[str], str], peak: float):
        module = module.to(target.device)
        self.exact = {name: p.detach().clone() for name, p in module.named_parameters()}
        self.module, self.losses, self.form, self.quantised, self.peak = module.to(target.dtype), losses, form, False, peak
        self.adam = torch.optim.AdamW(self.exact.values(), lr=peak, betas=(0.9, 0.95), weight_decay=0.0)
        self.step_number, self.spent, self.seen = 0, 0.0, 0
        self.load()

    @torch.no_grad()
    def load(self) -> None:
        for name, parameter in self.module.named_parameters():
            exact = self.exact[name]
            rounded = FORMATS[self.form(name)] if self.quantised and exact.ndim == 2 else FORMATS["f32"]
            parameter.copy_(rounded(exact))
            parameter.grad = None

    @torch.no_grad()
    def restore(self, saved: dict) -> None:
        self.step_number, self.spent, self.seen = saved["step"], saved["spent"], saved["seen"]
        for name, value in saved["weights"].items():
            self.exact[name].copy_(value)
        self.adam.load_state_dict(saved["adam"])
        self.load()
        print(f"train: goes on from step {self.step_number}", flush=True)

    def step(self, batch: Batch, scale: float) -> torch.Tensor:
        loss, told = self.losses(batch, True)
        loss.backward()
        for name, parameter in self.module.named_parameters():
            self.exact[name].grad = parameter.grad.float()
        torch.nn.utils.clip_grad_norm_(self.exact.values(), 1.0)
        for group in self.adam.param_groups:
            group["lr"] = self.peak * scale
        self.adam.step()
        self.load()
        return told

    @torch.no_grad()
    def held_out(self, some: list[Batch]) -> str:
        return show(torch.stack([self.losses(batch, False)[1] for batch in some]).mean(0))


def show(told: torch.Tensor) -> str:
    cross, best = told.T.tolist()
    return f"cross-entropy {' '.join(f'{x:.3f}' for x in cross)}, best token right {' '.join(f'{x:.3f}' for x in best)}"


def split(texts: list[Text], held_out: int) -> tuple[list[Text], list[Text]]:
    """Texts to learn from, and some of those kept out of it."""
    return [text for text in texts if not text.held_out], [text for text in texts if text.held_out][:held_out]


def train(trainer: Trainer, learn: list[Text], aside: list[Text], args: argparse.Namespace, about: dict, entered: float) -> None:
    """Runs until the schedule or this call is over. A checkpoint holds `weights`, what it takes to go on, and `about`."""
    device, before = trainer.losses.target.device, trainer.spent
    some = [batch.to(device) for batch in batches(aside, min(args.tokens, 8192), 0)]

    def save() -> None:
        trainer.spent = before + time.time() - began
        state = {"weights": trainer.exact, "adam": trainer.adam.state_dict(), "step": trainer.step_number, "spent": trainer.spent, "seen": trainer.seen}
        part = args.out.with_suffix(".part")
        torch.save(state | about, part)
        os.replace(part, args.out)
        if some:
            print(f"train: held out: {trainer.held_out(some)}", flush=True)

    began = told = kept = time.time()
    losses: list[torch.Tensor] = []
    since = trainer.seen
    coming = iter(())
    while True:
        progress = max(trainer.step_number / args.steps, (before + time.time() - began) / args.seconds)
        if progress >= QUANTISED and not trainer.quantised:
            trainer.quantised = True
            trainer.load()
        if progress >= 1 or time.time() - entered > args.stage_seconds:
            break
        batch = next(coming, None)
        if batch is None:
            coming = batches(learn, args.tokens, trainer.step_number + 1)
            continue
        losses.append(trainer.step(batch.to(device), rate(progress)))
        trainer.step_number, trainer.seen = trainer.step_number + 1, trainer.seen + batch.tokens.numel()
        if trainer.step_number % 10 == 0:
            losses[-1].tolist()  # keeps the queue of the GPU short, so that the clock is right
        if time.time() - told > 15:
            speed = (trainer.seen - since) / (time.time() - told)
            print(f"train: step {trainer.step_number}, progress {progress:.3f}, {show(torch.stack(losses).mean(0))}, {speed:.0f} tokens/s", flush=True)
            told, losses, since = time.time(), [], trainer.seen
        if time.time() - kept > 60:
            save()
            kept = time.time()
    save()
    print(f"train: {'done' if progress >= 1 else 'to be continued'}, step {trainer.step_number}, {trainer.seen} tokens", flush=True)
