"""Stage `generate`: the target answers requests that it invents, that are drawn from lists, or that are made of its own texts.

    python -m eagle.generate --target TARGET.gguf --out data/texts --seconds 200

Half of the answers are greedy, half of temperature 0.7, if `--temperatures` says nothing else. No request is answered twice. Processes beside the GPU's word the requests and look at the answers.
A folder that holds `done` is left as it is; --again goes on in it with another seed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import queue
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from story.overlap import gram_hashes, known
from story.teacher import read_tokenizer

from .conversation import Wrapping, wrapping
from .prompts import KINDS, SOURCES, Prompt, Told
from .reading import Reading
from .target import Target
from .texts import Shards, Text
from .writer import GREEDY, Writer

TEMPERATURES = [0.0, 0.7]  # of answers, one as often as another
INVENTING = 160  # tokens that an invented request may have


@dataclass
class Job:
    """A conversation up to what comes next: an answer, or a request that the target invents."""

    prompt: Prompt
    ids: list[int]
    inventing: bool = False
    warmth: float = GREEDY  # temperature of the answers
    follow_up: list[int] | None = None  # a second request; empty: invented
    spans: list[tuple[int, int]] = field(default_factory=list)  # of answers

    @property
    def most(self) -> int:
        """Tokens that come next; 0: as many as an answer may have."""
        return INVENTING if self.inventing else self.prompt.most

    @property
    def temperature(self) -> float:
        return 1.0 if self.inventing else self.warmth


def word_requests(path: str, wraps: Wrapping, source: str, documents: Path | None, seed: str, longest: int, temperatures: list[float], told, out) -> None:
    """A process that makes jobs, and hears of answers to make more of."""
    tokenizer, chat, chance = read_tokenizer(path), Reading(seed, documents) if documents else SOURCES[source](seed), random.Random(seed)
    encode = lambda text: tokenizer.encode(text).ids  # noqa: E731
    while True:
        jobs = []
        while len(jobs) < 32:
            while True:
                try:
                    chat.hear(told.get_nowait())
                except queue.Empty:
                    break
            prompt, after = chat.next(), chat.follow_up()
            ids = encode(prompt.text) if prompt.raw else wraps.before + (encode(prompt.text) + wraps.between if prompt.text else [])
            after = None if prompt.raw else after
            if len(ids) <= longest:
                jobs.append(Job(prompt, ids, not prompt.text, max(chance.choice(temperatures), GREEDY), None if after is None else encode(after) if after else []))
        out.put(jobs)


def keep_texts(path: str, folder: Path, grams_path: Path | None, held_out: int, finished, told) -> None:
    """A process that writes finished conversations, but those that share 13 words in a row with measuring data, and passes answers on."""
    tokenizer, shards = read_tokenizer(path), Shards(folder)
    grams = np.load(grams_path) if grams_path else np.zeros(0, np.uint64)
    kept, dropped, tokens = 0, 0, 0
    while (jobs := finished.get()) is not None:
        for number, job in jobs:
            if len(grams) and known(gram_hashes(tokenizer.decode(job.ids)), grams):
                dropped += 1
                continue
            begin, end = job.spans[0]
            for _ in range(2):  # each process that words requests should hear some
                try:
                    told.put_nowait(Told(job.prompt, tokenizer.decode(job.ids[begin:end])))
                except queue.Full:
                    break
            chosen = np.zeros(len(job.ids), bool)
            for begin, end in job.spans:
                chosen[begin:end] = True
            shards.add(Text(np.array(job.ids), chosen, job.warmth == GREEDY, number % held_out == 0, KINDS.index(job.prompt.kind)))
            kept, tokens = kept + 1, tokens + int(chosen.sum())
    shards.flush()
    print(f"generate: {kept} conversations kept, {tokens} tokens of answers, {dropped} dropped for overlap", flush=True)
    told.cancel_join_thread()  # nobody takes what is still in it, and this process would wait for that


class Loop:
    """Keeps every slot writing: looks at what is done every few steps, while the next steps already run."""

    def __init__(self, writer: Writer, wraps: Wrapping, jobs, finished, answer: int):
        self.writer, self.wraps, self.jobs, self.finished, self.answer = writer, wraps, jobs, finished, answer
        self.longest = writer.length - answer
        self.slot: list[Job | None] = [None] * writer.slots
        self.pending: list[Job] = []
        self.over: list[tuple[int, Job]] = []
        self.seen: set[int] = set()
        self.done = self.tokens = self.given_up = 0

    def next_job(self) -> Job:
        while True:
            while not self.pending:
                self.pending = self.jobs.get()
            job = self.pending.pop()
            if job.inventing or self.new(job.ids):
                return job

    def new(self, ids: list[int]) -> bool:
        """Whether a request has not been answered before."""
        key = hash(tuple(ids))
        if key in self.seen:
            return False
        self.seen.add(key)
        return True

    def goes_on(self, job: Job, ids: list[int], ended: bool) -> Job | None:
        """What comes after `ids`, or None when the conversation is over."""
        w, start = self.wraps, len(job.ids)
        if job.inventing:
            ids = ids + w.between[1:]
            if not ended or len(ids) > self.longest or len(ids) - start < len(w.between) + 2 or not self.new(ids):
                self.given_up += 1
                return None
            return Job(job.prompt, ids, False, job.warmth, job.follow_up, job.spans)
        self.tokens += len(ids) - start
        spans = [*job.spans, (start, len(ids))]
        over = Job(job.prompt, ids, False, job.warmth, None, spans)
        if job.follow_up is not None and ended:
            ids = ids + w.again[1:] + (job.follow_up + w.between if job.follow_up else [])
            if len(ids) <= self.longest:
                return Job(job.prompt, ids, not job.follow_up, job.warmth, None, spans)
        self.over.append((self.done, over))
        self.done += 1
        return None

    def handle(self, slots: np.ndarray, texts: np.ndarray, positions: np.ndarray) -> None:
        fill = []
        for slot, row, position in zip(slots.tolist(), texts, positions.tolist(), strict=True):
            job = self.slot[slot]
            if job is not None:
                ids = row[: position + 1].tolist()
                job = self.goes_on(job, ids, ids[-1] == self.wraps.again[0])
            self.slot[slot] = job = job or self.next_job()
            fill.append((slot, job))
        if self.over:
            self.finished.put(self.over)
            self.over = []
        device = self.writer.target.device
        number = lambda values: torch.tensor(values).to(device, non_blocking=True)  # noqa: E731
        fill.sort(key=lambda pair: len(pair[1].ids))
        for begin in range(0, len(fill), 128):
            batch = fill[begin : begin + 128]
            lengths = [len(job.ids) for _, job in batch]
            tokens = torch.zeros(len(batch), -(-max(lengths) // 16) * 16, dtype=torch.long)
            for i, (_, job) in enumerate(batch):
                tokens[i, : lengths[i]] = torch.tensor(job.ids)
            self.writer.prefill(
                number([slot for slot, _ in batch]), tokens.to(device, non_blocking=True), number(lengths), number([job.temperature for _, job in batch]),
                number([job.most or self.answer for _, job in batch]),
            )  # fmt: skip

    def run(self, seconds: float, tokens: int, every: int = 8) -> None:
        w, steps = self.writer, 0
        self.handle(np.arange(w.slots), np.zeros((w.slots, 1), np.int32), np.zeros(w.slots, np.int32))
        began = told = time.time()
        say = lambda: print(  # noqa: E731
            f"generate: {time.time() - began:.0f} s, {steps} steps, {self.done} conversations, {self.tokens} tokens of answers, "
            f"{self.tokens / (time.time() - began):.0f} tokens/s, {self.given_up} requests given up", flush=True
        )  # fmt: skip
        while time.time() - began < seconds and self.tokens < tokens:
            seen = torch.nonzero(w.done).flatten()
            state = [tensor.cpu().numpy() for tensor in (seen, w.text[seen], w.position[seen])]
            for _ in range(every):  # a GPU works on these while the texts are looked at
                w.step()
            steps += every
            self.handle(*state)
            if time.time() - told > 15:
                told = time.time()
                say()
        say()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, help="GGUF file")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--source", choices=SOURCES, default="chat")
    parser.add_argument("--documents", type=Path, help="of `eagle.gather`, for half of the requests")
    parser.add_argument("--grams", type=Path, help="hashes of `story.overlap`: what shares a run of words with them is dropped")
    parser.add_argument("--seconds", type=float, default=200)
    parser.add_argument("--tokens", type=int, default=10**12, help="of answers")
    parser.add_argument("--slots", type=int, default=2048)
    parser.add_argument("--length", type=int, default=1600, help="of a conversation, in tokens")
    parser.add_argument("--answer", type=int, default=400, help="tokens that an answer may have")
    parser.add_argument("--temperatures", type=float, nargs="+", default=TEMPERATURES, help="of answers, one as often as another; 0 is greedy")
    parser.add_argument("--held-out", type=int, default=40, help="one conversation in so many is kept out of training")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    if (args.out / "done").exists() and not args.again:
        print(f"generate: {args.out} is done")
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target = Target(args.target, device)
    wraps = wrapping(target, read_tokenizer(args.target))
    context = multiprocessing.get_context("spawn")
    args.out.mkdir(parents=True, exist_ok=True)
    jobs, finished, told = context.Queue(maxsize=100), context.Queue(), context.Queue(maxsize=400)
    words = [
        context.Process(target=word_requests, args=(args.target, wraps, args.source, args.documents, f"{args.seed}/{n}", args.length - args.answer, args.temperatures, told, jobs), daemon=True) for n in range(args.workers)
    ]
    keeper = context.Process(target=keep_texts, args=(args.target, args.out, args.grams, args.held_out, finished, told))
    for process in (*words, keeper):
        process.start()
    torch.manual_seed(int.from_bytes(args.seed.encode(), "little") % 2**31)
    writer = Writer(target, args.slots, args.length, wraps.stops)
    print(f"generate: on {device} with {writer.capture()}", flush=True)
    Loop(writer, wraps, jobs, finished, args.answer).run(args.seconds, args.tokens)
    finished.put(None)
    keeper.join()
    for process in words:
        process.terminate()
    (args.out / "done").touch()


if __name__ == "__main__":
    main()
