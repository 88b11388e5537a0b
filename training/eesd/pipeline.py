"""All stages for one target, each a process of its own.

    python -m eesd.pipeline --target TARGET.gguf --work data --name NAME --exits 3,5,8,10 --call-seconds 560        again and again until it says "finished"
    python -m eesd.pipeline --smoke                everything, tiny, on a CPU

Every stage goes on where it was when the call before ended, and each call ends in files of the blocks as far as they have come.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

from eagle.evaluate import one_answer
from eagle.pipeline import ROOT, stage
from eagle.texts import read_texts, write_texts

from .train import FULL, layers, vocab_size

LAST = 75  # seconds of a call that are kept for export and evaluation


def keep_held_out(folder: Path, count: int, out: Path) -> None:
    """The texts that `eesd.evaluate` reads, as a shard of their own."""
    write_texts(out, [one_answer(text) for text in read_texts(folder) if text.held_out and text.greedy][:count])


def pipeline(args: argparse.Namespace) -> bool:
    """Whether training is over."""
    began, work = time.time(), args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    log, texts, checkpoint = work / f"{args.name}.log", args.texts or work / "texts", work / f"{args.name}.pt"
    target = ["--target", args.target.resolve()]
    if not args.texts:
        stage("eagle.generate", *target, "--out", texts, "--source", args.source, "--seconds", args.generate_seconds, "--slots", args.slots, "--length", args.length,
              "--answer", args.answer, "--workers", args.workers, "--tokens", args.tokens, "--held-out", args.held_out, log=log)  # fmt: skip
    left = args.call_seconds - (time.time() - began) - LAST
    if left > 0:
        stage("eesd.train", *target, "--texts", texts, "--out", checkpoint, "--exits", ",".join(map(str, args.exits)), "--vocab", args.vocab, "--layer", args.layer,
              "--rate", args.rate, "--seconds", args.train_seconds, "--stage-seconds", left, "--tokens", args.step_tokens, "--steps", args.steps, log=log)  # fmt: skip
    if not checkpoint.exists():
        return False
    stage("eesd.export", *target, "--checkpoint", checkpoint, "--out", work, "--name", args.name, "--layer", args.layer, log=log)
    files, table = [work / f"{args.name}-{n}.gguf" for n in args.exits], work / f"{args.name}.json"
    stage("eesd.evaluate", *target, "--exit", *files, "--texts", texts, "--vocab", *args.sizes, "--out", table, "--count", args.count, log=log)
    done = "train: done" in log.read_text()
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        for path in (*files, table, log):
            shutil.copy(path, args.out / path.name)
        keep_held_out(texts, args.count, args.out / f"{args.name}-held-out.npz")
    print(f"pipeline: {args.name} {'finished' if done else 'to be continued'} after {time.time() - began:.0f} s", flush=True)
    return done


def smoke(args: argparse.Namespace) -> None:
    """The stages on the embedded model, far too short to draft well, in two calls; then the file of one block with fewer tokens."""
    work = args.work.resolve() / "eesd-smoke"
    shutil.rmtree(work, ignore_errors=True)
    target = ROOT.parent / "models" / "espalier-tiny" / "espalier-tiny.gguf"
    tiny = {"target": target, "name": "exit", "work": work, "out": work / "out", "source": "stories", "slots": 16, "length": 112, "answer": 72, "workers": 1, "tokens": 1400,
            "exits": [1, 3], "sizes": [512, 2048, FULL], "step_tokens": 512, "count": 2, "held_out": 4, "layer": "q4_0"}  # fmt: skip
    for steps in (3, 6):
        pipeline(argparse.Namespace(**vars(args) | tiny | {"steps": steps}))
    log = work / "exit.log"
    if "goes on from step 3" not in log.read_text():
        raise SystemExit("the second call did not go on from the first")
    stage("eesd.export", "--target", target, "--exit", work / "exit-3.gguf", "--vocab", 2048, "--layer", "q4_0", "--evaluation", work / "exit.json", "--out", work / "cut.gguf", log=log)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--target", type=Path, help="GGUF file")
    parser.add_argument("--work", type=Path, default=ROOT / "data")
    parser.add_argument("--out", type=Path, help="the blocks, their table, the log and the held-out texts are copied here")
    parser.add_argument("--name", default="exit", help="of the blocks and their files")
    parser.add_argument("--exits", type=layers, default=[3, 5, 8, 10], help="the target's layers before each block")
    parser.add_argument("--texts", type=Path, help="that the target has written already, by `eagle.generate`")
    parser.add_argument("--source", choices=("chat", "stories"), default="chat")
    parser.add_argument("--vocab", type=vocab_size, default=FULL, help='tokens that the blocks learn to guess, or "full"')
    parser.add_argument("--sizes", type=vocab_size, nargs="+", default=[4096, 8192, 16384, FULL], help="sizes of the draft vocabulary to evaluate")
    parser.add_argument("--layer", default="q4_1", help="format of the matrices")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--generate-seconds", type=float, default=180)
    parser.add_argument("--train-seconds", type=float, default=420, help="in all calls together")
    parser.add_argument("--call-seconds", type=float, default=1e9)
    parser.add_argument("--slots", type=int, default=2048)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--answer", type=int, default=448)
    parser.add_argument("--tokens", type=int, default=10**12, help="of answers")
    parser.add_argument("--held-out", type=int, default=40, help="one conversation in so many is kept out of training")
    parser.add_argument("--step-tokens", type=int, default=16384)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--count", type=int, default=200, help="held-out texts")
    parser.add_argument("--workers", type=int, default=4)
    args = parser.parse_args()
    if args.smoke:
        smoke(args)
    else:
        pipeline(args)


if __name__ == "__main__":
    main()
