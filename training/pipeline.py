"""All stages in a row, each a process of its own; those that only need the CPU run beside the teacher.

    python pipeline.py --smoke                       everything, tiny, on two CPU cores in under three minutes
    python pipeline.py --teacher FILE --work data    the real run, in one go on one GPU

Every stage is also a command (`python -m story.STAGE --help`). Generation and training end when their time does, so a slow machine
gives less text and fewer steps, not a failed run. Stage `polish` comes after it (README.md).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def run(command: list[object], name: str, log: Path) -> subprocess.Popen:
    return subprocess.Popen([*map(str, command)], cwd=HERE, stdout=open(log / f"{name}.log", "a"), stderr=subprocess.STDOUT)


def stage(name: str, *options: object, log: Path) -> subprocess.Popen:
    return run([sys.executable, "-m", f"story.{name}", *options], name, log)


def say(log: Path, text: str) -> None:
    line = f"pipeline: {time.strftime('%H:%M:%S')} {text}"
    print(line, flush=True)
    with open(log / "pipeline.log", "a") as file:
        file.write(line + "\n")


def finish(process: subprocess.Popen, name: str, log: Path, optional: bool = False) -> bool:
    code = process.wait()
    say(log, f"{name} ended with {code}")
    if code and not optional:
        raise SystemExit(f"stage {name} failed; its log ends with:\n" + (log / f"{name}.log").read_text()[-3000:])
    return code == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=Path, help="SmolLM2-135M-Instruct as GGUF")
    parser.add_argument("--work", type=Path, default=HERE / "data")
    parser.add_argument("--grams", type=Path, help="hashes of stage `overlap`")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--seconds", type=float, default=800, help="for the teacher")
    parser.add_argument("--train-seconds", type=float, default=400)
    parser.add_argument("--draft-seconds", type=float, default=60)
    parser.add_argument("--slots", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--batch", type=int, default=128)
    args = parser.parse_args()
    work = args.work.resolve()
    if args.smoke:
        smoke(args, work)
        return
    work.mkdir(parents=True, exist_ok=True)
    raw, clean, rows, tokens = work / "raw", work / "clean", work / "rows", work / "tokenizer.json"
    grams = ["--grams", args.grams.resolve()] if args.grams else []
    teacher = ["--teacher", args.teacher.resolve()]
    generate = stage("generate", *teacher, "--out", raw, "--seconds", args.seconds, "--slots", args.slots, log=work)
    filtering = stage("filter", *teacher, "--raw", raw, "--out", clean, "--workers", args.workers, "--follow", *grams, log=work)
    bpe = stage("tokenizer", "--clean", clean, "--out", tokens, "--follow", log=work)
    packing = None
    while generate.poll() is None:
        time.sleep(0.5)
        if packing is None and bpe.poll() == 0:
            say(work, "tokenizer is ready")
            packing = stage("pack", "--clean", clean, "--tokenizer", tokens, "--out", rows, "--workers", args.workers, "--follow", log=work)
    say(work, f"generate ended with {generate.returncode}")
    (raw / "done").touch()  # even after a failure: what is there is used
    finish(filtering, "filter", work)
    finish(bpe, "tokenizer", work)
    packing = packing or stage("pack", "--clean", clean, "--tokenizer", tokens, "--out", rows, "--workers", args.workers, "--follow", log=work)
    finish(packing, "pack", work)
    for size, name, seconds in (("tiny", "espalier-tiny", args.train_seconds), ("draft", "espalier-tiny-draft", args.draft_seconds)):
        checkpoint = work / f"{size}.pt"
        options = ["--rows", rows, "--tokenizer", tokens, "--size", size, "--out", checkpoint, "--seconds", seconds, "--batch", args.batch, "--compile"]
        if finish(stage("train", *options, log=work), "train", work, optional=True):
            best = Path(f"{checkpoint}.best")
            options = ["--checkpoint", best if best.exists() else checkpoint, "--tokenizer", tokens, "--out", work / f"{name}.gguf", "--name", name]
            finish(stage("export", *options, log=work), "export", work, optional=True)
    (work / "finished").touch()
    say(work, "finished")


def smoke(args: argparse.Namespace, work: Path) -> None:
    """The same stages on random stories: a text of the scripts alone stands for the teacher's, so no file is needed. The engine,
    which must have been built, answers with the file that comes out."""
    shutil.rmtree(work / "smoke", ignore_errors=True)
    work = work / "smoke"
    work.mkdir(parents=True)
    clean, rows, tokens = work / "clean", work / "rows", work / "tokenizer.json"
    if args.teacher:
        teacher = ["--teacher", args.teacher.resolve()]
        finish(stage("generate", *teacher, "--out", work / "raw", "--slots", 8, "--requests", 24, "--producers", 1, "--seconds", 60, log=work), "generate", work)
        finish(stage("filter", *teacher, "--raw", work / "raw", "--out", clean, "--workers", 1, log=work), "filter", work)
    finish(stage("scripts", "--out", clean, "--count", 3000, log=work), "scripts", work)
    finish(stage("tokenizer", "--clean", clean, "--out", tokens, "--megabytes", 2, log=work), "tokenizer", work)
    finish(stage("pack", "--clean", clean, "--tokenizer", tokens, "--out", rows, "--workers", 1, log=work), "pack", work)
    checkpoint, out = work / "smoke.pt", work / "smoke.gguf"
    options = ["--rows", rows, "--tokenizer", tokens, "--size", "smoke", "--out", checkpoint, "--batch", 4, "--held-out", 4, "--steps", 40]
    finish(stage("train", *options, "--stage-seconds", 8, log=work), "train", work)
    finish(stage("train", *options, log=work), "train", work)
    finish(stage("export", "--checkpoint", f"{checkpoint}.best", "--tokenizer", tokens, "--out", out, "--name", "smoke", log=work), "export", work)
    questions, answers = work / "questions.jsonl", work / "answers.jsonl"
    finish(stage("questions", "--count", 4, "--out", questions, log=work), "questions", work)
    finish(run(["node", HERE.parent / "scripts" / "answer.mjs", out, questions, answers], "answer", work), "answer", work)
    stories = clean / "clean-scripts.jsonl"
    finish(stage("evaluate", "--answers", answers, "--stories", stories, "--count", 8, "--model", out, log=work), "evaluate", work)
    print((work / "evaluate.log").read_text())
    say(work, "finished")


if __name__ == "__main__":
    main()
