"""All stages for one target, each a process of its own.

    python -m eagle.pipeline --target TARGET.gguf --work data --name NAME --call-seconds 560        again and again until it says "finished"
    python -m eagle.pipeline --smoke                everything, tiny, on a CPU

Every stage goes on where it was when the call before ended, and each call ends in a file of a head as far as it has come.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
LAST = 75  # seconds of a call that are kept for export and evaluation


def stage(name: str, *options: object, log: Path) -> None:
    """Runs a stage; its log goes to `log` and, as it comes, to the screen."""
    command = [sys.executable, "-m", name, *map(str, options)]
    with open(log, "a") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in process.stdout:
            print(f"[{log.stem}] {line}", end="", flush=True)
            file.write(line)
            file.flush()
    if process.wait():
        raise SystemExit(f"stage {name} failed; its log is {log}")


def pipeline(args: argparse.Namespace) -> bool:
    """Whether training is over."""
    began, work = time.time(), args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    log, texts, checkpoint = work / f"{args.name}.log", work / "texts", work / f"{args.kind}.pt"
    target = ["--target", args.target.resolve()]
    grams = ["--grams", args.grams.resolve()] if args.grams else []
    grams += ["--documents", args.documents.resolve()] if args.documents else []
    grams += ["--temperatures", *args.temperatures] if args.temperatures else []
    stage("eagle.generate", *target, "--out", texts, "--source", args.source, "--seconds", args.generate_seconds, "--slots", args.slots, "--length", args.length,
          "--answer", args.answer, "--workers", args.workers, "--tokens", args.tokens, "--held-out", args.held_out, *grams, log=log)  # fmt: skip
    formats = ["--layer", args.layer, "--output", args.output]
    left = args.call_seconds - (time.time() - began) - LAST
    if left > 0:
        options = ["--texts", texts, "--out", checkpoint, "--kind", args.kind, "--vocab", args.vocab, "--seconds", args.train_seconds, "--stage-seconds", left]
        options += ["--inner", args.inner] if args.inner else []
        options += ["--text-rows"] if args.text_rows else []
        options += ["--init", args.init.resolve()] if args.init else []
        stage("eagle.train", *target, *options, *formats, "--tokens", args.step_tokens, "--steps", args.steps, "--rate", args.rate, log=log)
    if not checkpoint.exists():
        return False
    heads = []
    for vocab in args.export_vocab or [args.vocab]:
        head = work / f"{args.name}{'' if vocab == (args.export_vocab or [vocab])[0] else f'-{vocab}'}.gguf"
        stage("eagle.export", *target, "--checkpoint", checkpoint, "--out", head, "--name", args.name, "--vocab", vocab, *formats, "--window", args.window, log=log)
        heads.append((head, vocab))
    table = work / f"{args.name}.json"
    stage("eagle.evaluate", *target, "--head", *(head for head, _ in heads), "--texts", texts, "--out", table, "--count", args.count, log=log)
    for head, vocab in heads:
        stage("eagle.export", *target, "--checkpoint", checkpoint, "--out", head, "--name", args.name, "--vocab", vocab, *formats, "--window", args.window, "--evaluation", table, log=log)
    done = "train: done" in log.read_text()
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        for path in (heads[0][0], table, log):
            shutil.copy(path, args.out / path.name)
    print(f"pipeline: {args.name} {'finished' if done else 'to be continued'} after {time.time() - began:.0f} s", flush=True)
    return done


def smoke(args: argparse.Namespace) -> None:
    """The stages on the embedded model, far too short to draft well, and a length predictor; the engine runs the heads that come out."""
    work = args.work.resolve() / "eagle-smoke"
    shutil.rmtree(work, ignore_errors=True)
    target = ROOT.parent / "models" / "espalier-tiny" / "espalier-tiny.gguf"
    tiny = {"target": target, "source": "stories", "slots": 16, "length": 112, "answer": 72, "window": 64, "workers": 1, "tokens": 1400, "inner": 256, "vocab": 1024, "step_tokens": 512,
            "steps": 4, "count": 2, "held_out": 4, "layer": "q4_0", "export_vocab": None, "out": None, "documents": None, "init": None,
            "temperatures": [0, 0.7, 1]}  # fmt: skip
    for kind, text_rows in (("eagle-fused", True), ("eagle-1", False)):
        pipeline(argparse.Namespace(**vars(args) | tiny | {"kind": kind, "name": kind, "work": work, "text_rows": text_rows}))
        check = ["node", ROOT.parent / "scripts" / "check-head.mjs", work / f"{kind}.gguf", target]
        subprocess.run([*map(str, check)], check=True)
    documents = work / "documents.jsonl.gz"
    stage("eagle.gather", f"prose:docs:{ROOT.parent / 'docs'}", f"code:eagle:{HERE}", "--out", documents, log=work / "gather.log")
    stage("eagle.reading", documents, "--count", 300, "--kinds", log=work / "gather.log")
    few = ["--seconds", 5, "--tokens", 512, "--batch", 64, "--held-out", 2]
    stage("ldlp.train", "--target", target, "--head", work / "eagle-fused.gguf", "--texts", work / "texts", "--out", work / "ldlp.gguf", *few, log=work / "ldlp.log")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--target", type=Path, help="GGUF file")
    parser.add_argument("--work", type=Path, default=ROOT / "data")
    parser.add_argument("--out", type=Path, help="the head, its table and the log are copied here")
    parser.add_argument("--name", default="eagle", help="of the head and its file")
    parser.add_argument("--kind", choices=("eagle-1", "eagle-fused"), default="eagle-fused")
    parser.add_argument("--source", choices=("chat", "stories"), default="chat")
    parser.add_argument("--documents", type=Path, help="see `eagle.generate`")
    parser.add_argument("--init", type=Path, help="see `eagle.train`")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--temperatures", type=float, nargs="+", help="see `eagle.generate`")
    parser.add_argument("--grams", type=Path, help="hashes of `story.overlap`")
    parser.add_argument("--inner", type=int)
    parser.add_argument("--vocab", type=int, default=16384)
    parser.add_argument("--text-rows", action="store_true", help="see `eagle.train`")
    parser.add_argument("--export-vocab", type=int, nargs="*", help="sizes to evaluate; the first is the one of the head's file")
    parser.add_argument("--layer", default="q4_1")
    parser.add_argument("--output", default="q4_1")
    parser.add_argument("--generate-seconds", type=float, default=200)
    parser.add_argument("--train-seconds", type=float, default=420, help="in all calls together")
    parser.add_argument("--call-seconds", type=float, default=1e9)
    parser.add_argument("--slots", type=int, default=2048)
    parser.add_argument("--length", type=int, default=1600)
    parser.add_argument("--answer", type=int, default=400)
    parser.add_argument("--window", type=int, default=1024, help="positions that a row sees; 0: all")
    parser.add_argument("--tokens", type=int, default=10**12, help="of answers")
    parser.add_argument("--held-out", type=int, default=40, help="one conversation in so many is kept out of training")
    parser.add_argument("--step-tokens", type=int, default=32768)
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
