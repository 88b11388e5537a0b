"""Stage `tokenizer`: our own byte-level BPE, with the pre-tokenizer that GGUF calls "smollm" (single digits, GPT-2's pattern).

    python -m story.tokenizer --clean data/clean --out data/tokenizer.json --megabytes 40
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from .filter import follow
from .render import conversation
from .requests import draw

VOCAB = 4096
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # ids 0, 1, 2
SEPARATOR, START, END = range(3)


def empty() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train(texts, vocab: int = VOCAB) -> Tokenizer:
    tokenizer = empty()
    special = [AddedToken(token, special=True, normalized=False) for token in CONTROL]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def texts(clean: Path, seed: int, size: float, wait: bool):
    """What will be learnt, requests included, until `size` bytes."""
    for path in follow(clean, "clean-*.jsonl", wait):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            turns = conversation(draw(seed, record["index"]), record["text"], record["summary"], random.Random(record["index"]))
            for _, content in turns:
                size -= len(content)
                yield content
            if size <= 0:
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--follow", action="store_true")
    args = parser.parse_args()
    tokenizer = train(texts(args.clean, args.seed, args.megabytes * 1e6, args.follow))
    if tokenizer.get_vocab_size() < VOCAB:  # too little text (a smoke run): the table is filled up with names never met
        tokenizer.add_tokens([f"<|unused_{i}|>" for i in range(VOCAB - tokenizer.get_vocab_size())])
    tokenizer.save(str(args.out))
    print(f"tokenizer: {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
