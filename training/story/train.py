"""Stage `train`: next-token training on packed rows, with Muon for matrices and AdamW for the rest.

    python -m story.train --rows data/rows --out data/tiny.pt --size tiny --seconds 540

The schedule runs on progress = the larger of steps done / `--steps` and seconds done / `--seconds`, so a run ends when its time
does. The last part (from progress QUANTISED) trains with weights rounded to what the GGUF file will hold, and only there is the best
checkpoint kept. `--stage-seconds` ends this call early; calling again goes on from the checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from .filter import follow
from .model import SIZES, Llama
from .muon import Muon
from .pack import ROW, SILENT, Rows, encode_document
from .quantise import stored

WARMUP, QUANTISED, FLOOR = 0.02, 0.8, 0.02


def load_rows(folder: Path) -> torch.Tensor:
    parts = [np.load(path) for path in follow(folder, "rows-*.npy", False)]
    return torch.from_numpy(np.concatenate(parts).view(np.int16))


def load_held_out(folder: Path, tokenizer: Tokenizer, limit: int) -> torch.Tensor:
    rows = Rows()
    for path in follow(folder, "heldout-*.jsonl", False):
        for line in path.read_text().splitlines():
            rows.add(encode_document(tokenizer, json.loads(line)["turns"]))
    return torch.from_numpy(rows.array()[:limit].view(np.int16))


def unpack(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens [n, ROW] and targets [n, ROW], -100 where nothing is learnt."""
    ids = rows.long()
    silent = ids < 0  # the highest of 16 bits
    ids = ids & (SILENT - 1)
    return ids[:, :-1].contiguous(), torch.where(silent, -100, ids)[:, 1:].contiguous()


def rate(progress: float) -> float:
    """Warm-up, then a cosine down to FLOOR."""
    if progress < WARMUP:
        return max(progress / WARMUP, 0.01)
    along = min((progress - WARMUP) / (1 - WARMUP), 1.0)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * along))


class Trainer:
    """Exact weights in float32 (`exact`), and the copy that runs: bf16 on a GPU, rounded to the file's format near the end."""

    def __init__(self, size: str, device: str, batch: int):
        """`batch` is the number of rows to compile for, 0 not to compile."""
        torch.manual_seed(1)
        self.model = Llama(SIZES[size]).to(device)
        self.exact = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        if device == "cuda":
            self.model = self.model.bfloat16()
            self.model.cos, self.model.sin = self.model.cos.float(), self.model.sin.float()
        self.device, self.quantised = device, False
        matrices = [p for name, p in self.exact.items() if p.ndim == 2 and name != "token_embd.weight"]
        rest = [p for name, p in self.exact.items() if p.ndim == 1 or name == "token_embd.weight"]
        self.muon = Muon(matrices)
        self.adam = torch.optim.AdamW(rest, lr=4e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0)
        self.loss = self.model.loss
        if batch:
            try:
                compiled = torch.compile(self.model.loss, dynamic=False)
                tokens = torch.zeros(batch, ROW, dtype=torch.long, device=device)
                compiled(tokens, tokens).backward()
                self.loss = compiled
            except Exception as error:
                print(f"train: not compiled: {error!r}"[:500], flush=True)
        self.load()

    @torch.no_grad()
    def load(self) -> None:
        for name, parameter in self.model.named_parameters():
            exact = self.exact[name]
            parameter.copy_(stored(name, exact) if self.quantised else exact)
            parameter.grad = None

    def step(self, batches: list[tuple[torch.Tensor, torch.Tensor]], scale: float) -> torch.Tensor:
        total = 0.0
        for tokens, targets in batches:
            loss = self.loss(tokens, targets) / len(batches)
            loss.backward()
            total = total + loss.detach()
        for name, parameter in self.model.named_parameters():
            self.exact[name].grad = parameter.grad.float()
        torch.nn.utils.clip_grad_norm_([self.exact[name] for name in self.exact], 1.0)
        self.muon.step(scale)
        for group in self.adam.param_groups:
            group["lr"] = 4e-3 * scale
        self.adam.step()
        self.load()
        return total

    @torch.no_grad()
    def held_out(self, rows: torch.Tensor, batch: int) -> float:
        """Mean nats a token over whole batches of `rows`."""
        batch = min(batch, len(rows))
        losses = [self.model.loss(*unpack(rows[i : i + batch])).item() for i in range(0, len(rows) - batch + 1, batch or 1) if batch]
        return sum(losses) / len(losses) if losses else math.nan

    def state(self) -> dict:
        return {"exact": self.exact, "adam": self.adam.state_dict(), "velocity": self.muon.velocity, "quantised": self.quantised}

    def restore(self, state: dict) -> None:
        with torch.no_grad():
            for name, value in state["exact"].items():
                self.exact[name].copy_(value)
            for mine, value in zip(self.muon.velocity, state["velocity"], strict=True):
                mine.copy_(value)
        self.adam.load_state_dict(state["adam"])
        self.quantised = state["quantised"]
        self.load()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint; the best held-out one goes to OUT.best")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--stage-seconds", type=float, default=1e9)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--epochs", type=float, default=6, help="stop here at the latest: more passes over the text only overfit")
    parser.add_argument("--batch", type=int, default=128, help="rows an update")
    parser.add_argument("--held-out", type=int, default=256, help="held-out rows")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = load_rows(args.rows).to(device)
    tokenizer = Tokenizer.from_file(args.tokenizer)
    aside = load_held_out(args.rows, tokenizer, args.held_out).to(device)
    batch = min(args.batch, len(rows))
    steps = min(args.steps, max(1, int(args.epochs * len(rows) / batch)))
    trainer = Trainer(args.size, device, batch if args.compile else 0)
    step, spent, best = 0, 0.0, math.inf
    if args.out.exists():
        saved = torch.load(args.out, map_location=device)
        trainer.restore(saved)
        step, spent, best = saved["step"], saved["spent"], saved["best"]
        print(f"train: goes on from step {step}", flush=True)
    print(f"train: {sum(p.numel() for p in trainer.exact.values())} parameters, {len(rows)} rows, {len(aside)} held out, at most {steps} steps", flush=True)
    generator = torch.Generator().manual_seed(step + 1)
    order, began, told, first = torch.randperm(len(rows), generator=generator), time.time(), time.time(), True
    entered = began
    at, losses, since = 0, [], step
    checks = {0.25, 0.5, 0.75, 0.85, 0.9, 0.95, 0.975}

    def save(path: Path) -> None:
        torch.save({**trainer.state(), "step": step, "spent": spent, "best": best, "size": args.size}, path)

    def check(progress: float) -> None:
        nonlocal best
        value = trainer.held_out(aside, min(batch, 32))
        print(f"train: step {step}, progress {progress:.3f}, held-out {value:.4f} nats{' (as exported)' if trainer.quantised else ''}", flush=True)
        if trainer.quantised and not value >= best:
            best = value
            torch.save({"exact": trainer.exact, "step": step, "held_out": value, "size": args.size}, f"{args.out}.best")

    while True:
        progress = max(step / steps, (spent + time.time() - began) / args.seconds)
        if progress >= 1 or time.time() - entered > args.stage_seconds:
            break
        if progress >= QUANTISED and not trainer.quantised:
            trainer.quantised = True
            trainer.load()
        if at + batch > len(rows):
            order, at = torch.randperm(len(rows), generator=generator), 0
        chosen = order[at : at + batch].to(device)
        at += batch
        losses.append(trainer.step([unpack(rows[chosen])], rate(progress)))
        step += 1
        if first:  # compiling is not training time
            first = False
            losses[-1].item()
            print(f"train: first step after {time.time() - began:.0f} s", flush=True)
            began = time.time()
        if step % 20 == 0:
            losses[-1].item()  # keeps the queue of the GPU short, so that the clock is right
        if time.time() - told > 10:
            mean = torch.stack(losses).mean().item()
            speed = (step - since) * batch * ROW / (time.time() - told)
            print(f"train: step {step}, progress {progress:.3f}, loss {mean:.4f}, {speed:.0f} tokens/s", flush=True)
            told, losses, since = time.time(), [], step
        for mark in [mark for mark in checks if progress >= mark]:
            checks = {other for other in checks if other > mark}
            check(progress)
    spent += time.time() - began
    if progress >= 1:
        trainer.quantised = True
        trainer.load()
        check(progress)
        quantised = trainer.held_out(aside, min(batch, 32))
        trainer.quantised = False
        trainer.load()
        print(f"train: held-out {trainer.held_out(aside, min(batch, 32)):.4f} nats exact, {quantised:.4f} as exported", flush=True)
        trainer.quantised = True
    save(args.out)
    print(f"train: done, step {step}, {step * batch * ROW} tokens, {step * batch / len(rows):.2f} passes over the text, best {best:.4f}", flush=True)


if __name__ == "__main__":
    main()
