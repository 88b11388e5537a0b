"""Stage `generate`: the teacher writes texts for request after request until time, tokens or requests run out.

    python -m story.generate --teacher SmolLM2-135M-Instruct.Q4_1.gguf --out data/raw --seconds 600

Writes shards `raw-*.npz`: request indices, and the token ids of each text (teacher's vocabulary) with offsets.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from .requests import draw, teacher_prompt
from .teacher import Teacher, read_gguf, read_tokenizer

SYSTEM = "You are a storyteller for children."
SUM_UP = "<|im_end|>\n<|im_start|>user\nTell this story again in two sentences.<|im_end|>\n<|im_start|>assistant\n"
OVERRUN = 60  # tokens that a sentence may go on after its part is long enough


@dataclass
class Job:
    """A request in the teacher's tokens. `parts` are (given tokens, free tokens) still to come; the first is in `prompt`."""

    index: int
    prompt: list[int]
    head: int  # tokens before the text
    temperature: float
    free: int
    parts: list[tuple[list[int], int]] = field(default_factory=list)
    start: int = 0  # where the current free stretch begins


def make_job(tokenizer, seed: int, index: int) -> Job:
    r = draw(seed, index)
    head = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{teacher_prompt(r)}<|im_end|>\n<|im_start|>assistant\n"
    texts = [(part.text, part.free) for part in r.parts]
    if r.summary:
        texts.append((SUM_UP + r.summary[0].text, r.summary[0].free))
    merged = [texts[0]]
    for text, free in texts[1:]:  # a part without a free stretch is one with what follows
        before, none = merged[-1]
        merged[-1:] = [(before + text, free)] if none == 0 else [(before, none), (text, free)]
    encode = lambda text: tokenizer.encode(text).ids  # noqa: E731
    head_ids, opening = encode(head), encode(merged[0][0])
    return Job(index, head_ids + opening, len(head_ids), r.temperature, merged[0][1], [(encode(text), free) for text, free in merged[1:]])


def _produce(path: str, seed: int, first: int, stride: int, limit: int, out) -> None:
    tokenizer = read_tokenizer(path)
    for begin in range(first * 64, limit, stride * 64):
        out.put([make_job(tokenizer, seed, index) for index in range(begin, min(begin + 64, limit))])
    out.put([])


class Shards:
    """Collects finished texts and writes a shard at a time, under its final name only when whole."""

    def __init__(self, folder: Path, size: int):
        self.folder, self.size, self.count, self.tokens, self.texts = folder, size, 0, 0, 0
        self.index: list[int] = []
        self.text: list[np.ndarray] = []
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, index: int, text: np.ndarray) -> None:
        self.index.append(index)
        self.text.append(text.astype(np.uint16))
        self.tokens += len(text)
        self.texts += 1
        if len(self.index) >= self.size:
            self.flush()

    def flush(self) -> None:
        if not self.index:
            return
        offsets = np.cumsum([0] + [len(text) for text in self.text])
        name = self.folder / f"raw-{self.count:05d}.npz"
        np.savez(name.with_suffix(".tmp.npz"), index=np.array(self.index), offsets=offsets, tokens=np.concatenate(self.text))
        os.replace(name.with_suffix(".tmp.npz"), name)
        self.count += 1
        self.index, self.text = [], []


class Loop:
    """Keeps every slot writing: looks at what is done every few steps, while the next steps already run."""

    def __init__(self, teacher: Teacher, jobs, shards: Shards, tokenizer):
        self.teacher, self.jobs, self.shards = teacher, jobs, shards
        self.ends, self.fresh = teacher.ends.cpu().numpy(), teacher.fresh.cpu().numpy()
        quotes = [(tokenizer.id_to_token(token) or "").count('"') for token in range(teacher.shape.vocab)]
        self.quotes, self.quote = np.array(quotes), tokenizer.token_to_id('"')
        self.slot: list[Job | None] = [None] * teacher.slots
        self.failed = self.given = 0
        self.pending: list[Job] = []
        self.more = True

    def next_job(self) -> Job | None:
        while not self.pending and self.more:
            try:
                self.pending = self.jobs.get(timeout=30)
            except queue.Empty:
                self.more = False
            if not self.pending:
                self.more = False
        return self.pending.pop() if self.pending else None

    def cut(self, text: np.ndarray, start: int) -> int:
        """How much of `text` stands: up to the last sentence end after `start`, or 0 when no sentence ended."""
        closes = self.ends[text[start : len(text) - 1]] & self.fresh[text[start + 1 :]]
        where = np.flatnonzero(closes)
        return start + int(where[-1]) + 1 if len(where) else 0

    def handle(self, done: np.ndarray, texts: np.ndarray, positions: np.ndarray) -> None:
        t = self.teacher
        resume: list[tuple[int, int, int, int]] = []
        script: list[tuple[int, int, list[int]]] = []
        fill: list[tuple[int, Job]] = []
        for slot, row, position in zip(done.tolist(), texts, positions.tolist(), strict=True):
            job = self.slot[slot]
            if job is not None:
                text = row[: position + 1]
                length = self.cut(text, job.start)
                if length and job.parts:
                    given, free = job.parts.pop(0)
                    if self.quotes[text[job.start + 1 : length]].sum() % 2:  # speech that was not closed
                        given = [self.quote, *given]
                    after = length + len(given)
                    if free == 0:  # nothing left to write
                        self.finish(job, np.concatenate((text[:length], given)))
                    elif after + free + OVERRUN < t.length:
                        script.append((slot, length, given))
                        resume.append((slot, length, after + free - 1, after + free + OVERRUN - 1))
                        job.start = after - 1
                        self.given += len(given)
                        continue
                    else:
                        self.failed += 1
                elif length:
                    self.finish(job, text[:length])
                else:
                    self.failed += 1
            self.slot[slot] = job = self.next_job()
            if job is not None:
                fill.append((slot, job))
        device = t.device
        number = lambda values: torch.tensor(values).to(device, non_blocking=True)  # noqa: E731
        if resume:
            width = max(len(given) for _, _, given in script)
            block = torch.full((len(script), width), -1, dtype=torch.int32)
            for i, (_, _, given) in enumerate(script):
                block[i, : len(given)] = torch.tensor(given, dtype=torch.int32)
            slots, lengths, soft, hard = (number(column) for column in zip(*resume, strict=True))
            at = (lengths[:, None] + torch.arange(width, device=device)).clamp(max=t.length - 1)
            t.script[slots[:, None], at] = block.to(device, non_blocking=True)
            t.resume(slots, lengths, soft, hard)
        for begin in range(0, len(fill), 512):
            batch = fill[begin : begin + 512]
            lengths = [len(job.prompt) for _, job in batch]
            tokens = torch.zeros(len(batch), -(-max(lengths) // 16) * 16, dtype=torch.long)
            for i, (_, job) in enumerate(batch):
                tokens[i, : lengths[i]] = torch.tensor(job.prompt)
                job.start = lengths[i] - 1
            soft = [n + job.free - 1 for n, (_, job) in zip(lengths, batch, strict=True)]
            t.prefill(number([slot for slot, _ in batch]), tokens.to(device, non_blocking=True), number(lengths), number([job.temperature for _, job in batch]),
                      number(soft), number([s + 1 + OVERRUN for s in soft]))  # fmt: skip

    def finish(self, job: Job, text: np.ndarray) -> None:
        self.shards.add(job.index, text[job.head :])

    def run(self, seconds: float, tokens: int, every: int = 4) -> None:
        t, began, told, steps = self.teacher, time.time(), time.time(), 0
        done = np.arange(t.slots)
        self.handle(done, np.zeros((t.slots, t.length), np.int32), np.zeros(t.slots, np.int32))
        while time.time() - began < seconds and self.shards.tokens < tokens:
            seen = torch.nonzero(t.done).flatten()
            state = [tensor.cpu().numpy() for tensor in (seen, t.text[seen], t.position[seen])]
            for _ in range(every):  # a GPU works on these while the texts are looked at
                t.step()
            steps += every
            self.handle(*state)
            if not any(self.slot):
                break
            if time.time() - told > 10:
                told = time.time()
                rate = self.shards.tokens / (told - began)
                print(f"generate: {told - began:.0f} s, {steps} steps, {self.shards.texts} texts, {self.shards.tokens} tokens, {rate:.0f} tokens/s, {self.failed} failed", flush=True)
        self.shards.flush()
        took = time.time() - began
        print(f"generate: done, {took:.0f} s, {steps} steps, {self.shards.texts} texts, {self.shards.tokens} tokens, {self.shards.tokens / took:.0f} tokens/s, {self.failed} failed", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", required=True, help="GGUF file of SmolLM2-135M-Instruct")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--tokens", type=int, default=10**12)
    parser.add_argument("--requests", type=int, default=10**8)
    parser.add_argument("--slots", type=int, default=4096)
    parser.add_argument("--length", type=int, default=576)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--producers", type=int, default=3)
    parser.add_argument("--shard", type=int, default=20000)
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    jobs = context.Queue(maxsize=200)
    producers = [
        context.Process(target=_produce, args=(args.teacher, args.seed, i, args.producers, args.requests, jobs), daemon=True) for i in range(args.producers)
    ]
    for process in producers:
        process.start()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = read_tokenizer(args.teacher)
    shape, weights = read_gguf(args.teacher)
    torch.manual_seed(args.seed)
    teacher = Teacher(shape, weights, args.slots, args.length, tokenizer, device)
    print(f"generate: on {device} with {teacher.capture()}", flush=True)
    Loop(teacher, jobs, Shards(args.out, args.shard), tokenizer).run(args.seconds, args.tokens)
    for process in producers:
        process.terminate()


if __name__ == "__main__":
    main()
