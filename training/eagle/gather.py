"""Collects documents for `eagle.generate --documents` out of folders of text that people wrote.

    python -m eagle.gather --out documents.jsonl.gz --chars 300000 prose:wikipedia:articles.xml.bz2:2000000 prose:handbook:html/en-US foreign/German:handbook:html/de-DE code:numpy:numpy

A source is KIND:NAME:PATH or KIND:NAME:PATH:CHARS, PATH a file or a folder. Kinds: `prose` and `foreign/LANGUAGE` are read from .html, .txt, .md, .json (every string) and MediaWiki's XML (.bz2),
`code` from .py (its functions) and .js, `names` from WordNet's data.noun (people, places, works) and from lists of lines. A line of the file is {"kind", "source",
"title", "text", "language"}. Of each source at most CHARS or --chars characters are kept, drawn at random. The file stays with whoever made it: it holds other people's words.
"""

from __future__ import annotations

import argparse
import ast
import bz2
import gzip
import html
import json
import random
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

LEAST, MOST = 400, 6_000  # characters of a document; longer ones are cut into several
BLOCKS = {"p", "li", "dd", "dt", "h1", "h2", "h3", "h4", "blockquote", "td"}
SILENT = {"script", "style", "nav", "pre", "table", "head", "footer"}

Found = Iterator[tuple[str, str]]  # title, text


class Blocks(HTMLParser):
    """Paragraphs of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.words, self.silent, self.title, self.in_title = [], [], 0, "", False

    def close_block(self) -> None:
        block = " ".join("".join(self.words).split())
        self.words = []
        if len(block) > 30:
            self.blocks.append(block)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.silent += tag in SILENT
        self.in_title = tag == "title"
        if tag in BLOCKS:
            self.close_block()

    def handle_endtag(self, tag: str) -> None:
        self.silent = max(0, self.silent - (tag in SILENT))
        self.in_title = False
        if tag in BLOCKS:
            self.close_block()

    def handle_data(self, data: str) -> None:
        if self.in_title:
            self.title += data
        elif not self.silent:
            self.words.append(data)


def page(path: Path) -> Found:
    parser = Blocks()
    parser.feed(path.read_text(errors="ignore"))
    parser.close_block()
    yield " ".join(re.split(r"[—|·]| - ", parser.title)[0].split()), "\n\n".join(parser.blocks)


def plain(path: Path) -> Found:
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode(errors="ignore")
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n%\n", text)]
    title = path.name.split(".")[0].replace("_", " ")
    for begin in range(0, len(paragraphs), 40):  # long books in pieces
        yield title, "\n\n".join(part for part in paragraphs[begin : begin + 40] if len(part) > 30)


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if len(text := " ".join(html.unescape(re.sub(r"<[^>]+>", " ", value)).split())) > 80:
            yield text
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def facts(path: Path) -> Found:
    value = json.loads(path.read_text())
    name = value.get("Government", {}).get("Country name", {}) if isinstance(value, dict) else {}
    title = next((v["text"] for v in name.values() if isinstance(v, dict) and v.get("text", "none") != "none" and len(v["text"]) < 40), path.stem)
    yield title, "\n\n".join(strings(value))


def articles(path: Path) -> Found:
    for title, body in re.findall(r"<title>(.*?)</title>.*?<text[^>]*>(.*?)</text>", bz2.open(path, "rt").read(), re.S):
        text = html.unescape(html.unescape(body))
        if text.startswith("#REDIRECT"):
            continue
        text = re.sub(r"<ref[^>/]*/>|<ref.*?</ref>|<!--.*?-->|<(math|table|gallery|sup)[^>]*>.*?</\1>|\{\|.*?\n\|\}", "", text, flags=re.S)
        for _ in range(5):
            text = re.sub(r"\{\{[^{}]*\}\}", "", text)
        text = re.sub(r"\[\[(File|Image|Category)(?:[^\[\]]|\[\[[^\]]*\]\])*\]\]", "", text)
        text = re.sub(r"\[\[(?:[^|\]]*\|)?([^\]]*)\]\]|\[\S+ ([^\]]*)\]", lambda m: m[1] or m[2] or "", text)
        text = re.sub(r"'{2,}|<[^>]+>|^[*#:;=].*$", "", text, flags=re.M)
        yield html.unescape(title), "\n\n".join(part for block in text.split("\n") if len(part := " ".join(block.split())) > 60)


def functions(path: Path) -> Found:
    text = path.read_text(errors="ignore")
    if path.suffix == ".js":
        yield from ((match[1], match[0]) for match in re.finditer(r"^(?:export )?(?:async )?function (\w+)\(.*?^\}", text, re.S | re.M))
        return
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and (source := ast.get_source_segment(text, node, padded=True)):
            lines = source.splitlines()
            indent = len(lines[0]) - len(lines[0].lstrip())
            yield node.name, "\n".join(line[indent:] if not line[:indent].strip() else line for line in lines)


def people_and_places(path: Path) -> Found:
    """WordNet's instances: 18 people, 15 places, 06 works and other communication, 04 acts (wars, battles), 14 and 28 states and times left out."""
    for line in path.read_text().splitlines():
        fields = line.split(" ")
        if line[:1].isdigit() and " @i " in line and fields[1] in ("18", "15", "06", "04"):
            longest = max((fields[4 + 2 * n] for n in range(int(fields[3], 16))), key=len)
            yield {"18": "person", "15": "place", "06": "work", "04": "event"}[fields[1]], longest.replace("_", " ")


READERS = {".html": page, ".txt": plain, ".md": plain, ".gz": plain, ".json": facts, ".bz2": articles, ".py": functions, ".js": functions, ".noun": people_and_places, "": plain}


def documents(kind: str, place: Path) -> Found:
    for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
        if path.is_file() and path.suffix in READERS and (kind == "code") == (path.suffix in (".py", ".js")):
            yield from READERS[path.suffix](path)


def pieces(title: str, text: str) -> Found:
    """Paragraphs together, MOST characters at most; long paragraphs are made into several of whole sentences."""
    piece = ""
    for part in re.sub(r"([^\n]{500}[^\n]*?[.!?]) (?=[A-Z\"“])", r"\1\n\n", text).split("\n\n"):
        if piece and len(piece) + len(part) > MOST:
            yield title, piece.strip()
            piece = ""
        piece += part + "\n\n" if len(part) < MOST else ""
    yield title, piece.strip()


def english(text: str) -> bool:
    """Sentences in English, not lists of names or of headings."""
    words = re.findall(r"[a-z']+", text.lower())
    return sum(word in ("the", "of", "and", "to", "is", "a", "in") for word in words) > 0.14 * len(words) and len(words) * 9 > len(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="KIND:NAME:PATH[:CHARS]")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--chars", type=int, default=300_000, help="of a source that does not say itself")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng, rows = random.Random(args.seed), []
    for source in args.sources:
        kind, name, place, *chars = source.split(":")
        kind, _, language = kind.partition("/")
        least, most = {"code": (150, 4000), "names": (2, 60)}.get(kind, (LEAST, MOST))
        found = (part for title, text in documents(kind, Path(place)) for part in (pieces(title, text) if kind.startswith(("prose", "foreign")) else [(title, text)]))
        found = [part for part in dict.fromkeys(found) if least <= len(part[1]) <= most and (kind != "prose" or english(part[1]))]
        rng.shuffle(found)
        kept = 0
        for title, text in found:
            if kept < int(chars[0] if chars else args.chars):
                rows.append({"kind": kind, "source": name, "title": title, "text": text, "language": language})
                kept += len(text)
        print(f"gather: {kind} {name}: {kept} of {sum(len(text) for _, text in found)} characters, {len(found)} documents", flush=True)
    with gzip.open(args.out, "wt") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
