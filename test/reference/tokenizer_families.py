"""Writes test/fixtures/tokenizers: small vocabularies of every supported kind, and what transformers makes of 1,000 lines with them.

    python test/reference/tokenizer_families.py small                        writes vocabularies and ids
    python test/reference/tokenizer_families.py real NAME SOURCE OUT         the same for a published tokenizer.json,
                                                                             tokenizer.model or tekken.json; the
                                                                             vocabulary goes to OUT/NAME.gguf
    python test/reference/tokenizer_families.py show NAME LINE               the tokens of one line, to look into a difference

(needs transformers, tokenizers, gguf, sentencepiece; see requirements.txt)

A vocabulary is a GGUF file without tensors, NAME.gguf.gz. The small ones are trained here: SentencePiece ones by
sentencepiece, and a byte-level one by tokenizers, without any pre-tokenizer, so that its merges cross every place
where words could be cut and a wrong cut shows. The lines are those of tokenizer_fixture.py and EXTRA. NAME.ids holds
8 bytes a line: the first four of the SHA-256 of its ids (uint32, little endian) with control tokens recognised, and of
those without.

The ids are those of the tokenizer that transformers builds from the same file (the small ones) or from the published
files (the real ones; those of Mistral by sentencepiece and tiktoken). Some things a GGUF file does not say; they are set
here as published. Llama 2 and Mistral v0.1 put a space before every stretch of text between added tokens, where
transformers reads Llama's files as if they did so at the start alone. Phi-3's control tokens swallow the white space
behind them. Of Gemma's runs of spaces, the longest comes first. For the small SentencePiece vocabularies the script
compares with sentencepiece as well, and prints where they differ: at user-defined tokens, which transformers merges
with each other (spaces) or puts a space behind.
"""

import gzip
import hashlib
import json
import os
import re
import struct
import sys
import tempfile

from tokenizer_fixture import make_lines

FIXTURES = os.path.join(os.path.dirname(__file__), "..", "fixtures", "tokenizers")
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

EXTRA = [
    *("\n" * n for n in (3, 4, 7, 31, 32, 65)),
    *(" " * n + "x" for n in (1, 2, 3, 4, 15, 31, 32, 40)),
    *("\t" * n + "x" for n in (1, 2, 5, 33)),
    "<bos>", "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", "a<table><tr><td>1</td></tr></table>b",
    "<|user|>\n  Hi<|end|>\n<|assistant|>\n", "<|user|>\u2003\u00a0x", "<s>  <s>x</s> y", "<unk>a<unk>", "<unused1>", "<|endoftext|> x",
    "<think>\nHm.\n</think>\n\nYes", "<think> x", "a <think>", "[INST] Hi [/INST]", "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Yes </s><s>[INST] No [/INST]",
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>", "▁", "▁▁", "a▁b", "▁ ▁", " ▁x", "<0x41>", "<0x0A>\n", "<0xC3><0xA9>",
    "I'M HERE, ISN'T IT? we'Ll see, they'D go; 'tis 'Sunday's'", "camelCaseWords and HTTPServerError XMLHttpRequest iPhone15ProMax",
    "1234567890123 12,345.678 0x1F 3.14e-10", "a/b/c//d \n/x\n//y", "!important #include $HOME %d &amp; 'single @user [link] \\begin{x} ^2 _id `code` {a} |b| ~c",
    "日本語のテキスト、カタカナ。漢字12と34", "देवनागरी की मात्राएँ", "e\u0301a\u0308 Å Å \u1e9b\u0323", "trellisgarden trellis trellisgarden",
]  # fmt: skip


def lines():
    return make_lines() + EXTRA


def digest(ids):
    return hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).digest()[:4]


def write_ids(name, encode):
    data = b"".join(digest(encode(line, False)) + digest(encode(line, True)) for line in lines())
    with open(os.path.join(FIXTURES, f"{name}.ids"), "wb") as out:
        out.write(data)
    print(f"{name}: {len(data) // 8} lines")


def write_vocabulary(path, *, architecture, model, tokens, types, pre=None, scores=None, merges=None, **extra):
    """GGUF metadata as llama.cpp's converters write it."""
    from gguf import GGUFWriter

    writer = GGUFWriter(path, architecture)
    writer.add_tokenizer_model(model)
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list([token.encode() for token in tokens])
    writer.add_token_types(types)
    if scores is not None:
        writer.add_token_scores(scores)
    if merges is not None:
        writer.add_token_merges(merges)
    for key, value in extra.items():
        (writer.add_bool if isinstance(value, bool) else writer.add_uint32)(f"tokenizer.ggml.{key}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def compress(path):
    with open(path, "rb") as source, open(path + ".gz", "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
        out.write(source.read())
    os.remove(path)


# ---- What transformers makes of a file


def from_gguf(path, pre=None):
    """The backend that transformers builds from a GGUF vocabulary, with what only the published tokenizer.json says."""
    from tokenizers import normalizers, pre_tokenizers
    from transformers.integrations.gguf.gguf_tokenizer_mapping import convert_gguf_tokenizer, get_gguf_tokenizer

    architecture, parts, _ = get_gguf_tokenizer(path)
    if architecture == "gemma3":
        parts["merges"] = gemma_merges(parts)
    pre = pre or parts.get("pre_tokenizer_type")
    backend, _ = convert_gguf_tokenizer(architecture, {**parts, "pre_tokenizer_type": pre})
    if parts["tokenizer_type"] == "llama" and not architecture.startswith("gemma"):
        prefix = [normalizers.Prepend("▁")] if parts.get("add_prefix_space", True) else []
        backend.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", "▁")])
        backend.pre_tokenizer = None
    if pre in OTHER_CUTS:
        normalizer, cuts = OTHER_CUTS[pre]
        backend.normalizer = normalizer
        backend.pre_tokenizer = pre_tokenizers.Sequence(cuts)
    if pre in NORMALIZED:
        backend.normalizer = normalizers.NFC()
    backend.model.ignore_merges = pre in IGNORES_MERGES
    return backend


def gemma_merges(parts):
    """As in the tokenizer.json of Gemma 3: those of user-defined tokens (runs of spaces and the like) first, the longest first."""
    from transformers.tokenization_utils_base import generate_merges

    tokens = [token.replace(" ", "▁") for token in parts["tokens"]]
    rows = zip(tokens, parts["token_type"], parts["scores"])
    scores = {token: len(token) if type == USER_DEFINED else score for token, type, score in rows if type in (NORMAL, USER_DEFINED)}
    return [" ".join(merge) for merge in generate_merges({token: id for id, token in enumerate(tokens)}, scores)]


def other_cuts():
    from tokenizers import Regex, normalizers, pre_tokenizers

    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    digits = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    # As in the tokenizer.json of DeepSeek-V3.
    deepseek = [
        r"\p{N}{1,3}",
        "[一-龥぀-ゟ゠-ヿ]+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    ]
    return {
        "smollm": (None, digits),
        "starcoder": (None, digits),
        "command-r": (normalizers.NFC(), digits),
        "deepseek-v3": (None, [*(pre_tokenizers.Split(Regex(cut), "isolated") for cut in deepseek), bytes_only]),
    }


NORMALIZED = {"qwen2", "deepseek-r1-qwen", "qwen35"}
IGNORES_MERGES = {"llama-bpe", "llama3", "tekken"}
BYTE_LEVEL = ["default", "gpt-2", "smollm", "starcoder", "command-r", "llama-bpe", "smaug-bpe", "qwen2", "qwen35", "gpt-4o", "tekken", "deepseek-v3"]


def encoder(backend):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    return lambda line, plain: tokenizer(line, add_special_tokens=False, split_special_tokens=plain).input_ids


# ---- Small vocabularies


def training_text():
    with open(os.path.join(os.path.dirname(__file__), "prose-and-code.txt")) as text:
        return text.read().split("\n") + make_lines()[::2]


def train_sentencepiece(path, size, **options):
    import sentencepiece

    settings = {
        "model_type": "bpe", "vocab_size": size, "byte_fallback": True, "normalization_rule_name": "identity", "remove_extra_whitespaces": False,
        "character_coverage": 0.98, "split_digits": True, "allow_whitespace_only_pieces": True, "minloglevel": 2, "max_sentence_length": 100000,
    }  # fmt: skip
    sentences = iter([line for text in training_text() for line in text.split("\n") if line and "\0" not in line])
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=sentences, model_prefix=path, **{**settings, **options})
    return sentencepiece.SentencePieceProcessor(model_file=path + ".model")


GEMMA_PIECES = {
    *("\n" * n for n in range(1, 32)), *("▁" * n for n in range(2, 32)), *("\t" * n for n in range(2, 6)), "<mask>", "<unused0>", "<unused1>",
    "<start_of_turn>", "<end_of_turn>", "<table>", "<tr>", "<td>", "</td>", "</tr>", "</table>", "<s>", "</s>", "<h1>", "</h1>",
}  # fmt: skip


def sentencepiece_parts(model):
    """Names, types (GGUF has taken over the numbers) and scores."""
    from sentencepiece.sentencepiece_model_pb2 import ModelProto

    pieces = ModelProto.FromString(model.serialized_model_proto()).pieces
    return [piece.piece for piece in pieces], [piece.type for piece in pieces], [piece.score for piece in pieces]


def compare_with_sentencepiece(name, model, encode):
    different = [line for line in lines() if "\0" not in line and model.encode(line) != encode(line, True)]
    print(f"{name}: sentencepiece differs on {len(different)} lines: {[line[:30] for line in different[:12]]}")


def small_llama(folder):
    model = train_sentencepiece(os.path.join(folder, "llama"), 900)
    tokens, types, scores = sentencepiece_parts(model)
    ends = {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0}
    path = os.path.join(FIXTURES, "llama.gguf")
    # One user-defined token, and one that only fills the vocabulary up.
    write_vocabulary(
        path, architecture="llama", model="llama", tokens=[*tokens, "<think>", "[PAD901]"], types=[*types, USER_DEFINED, UNUSED],
        scores=[*scores, -1000.0, -1000.0], add_bos_token=True, add_eos_token=False, **ends,
    )  # fmt: skip
    encode = encoder(from_gguf(path))
    compare_with_sentencepiece("llama", model, encode)
    write_ids("llama", encode)
    compress(path)

    phi = ["<|endoftext|>", "<|assistant|>", "<|end|>", "<|user|>"]
    path = os.path.join(FIXTURES, "phi3.gguf")
    write_vocabulary(
        path, architecture="phi3", model="llama", tokens=[*tokens, *phi], types=[*types, *[CONTROL] * len(phi)],
        scores=[*scores, *[-1000.0] * len(phi)], add_bos_token=False, **ends,
    )  # fmt: skip
    backend = json.loads(from_gguf(path).to_str())
    for token in backend["added_tokens"]:
        token["rstrip"] = token["content"] not in ("<unk>", "<s>", "<|endoftext|>")
    write_ids("phi3", encoder(backend_of(backend)))
    compress(path)


def small_gemma(folder):
    pieces = sorted(GEMMA_PIECES - {"<start_of_turn>", "<end_of_turn>"}, key=lambda piece: (len(piece), piece))
    model = train_sentencepiece(
        os.path.join(folder, "gemma"), 1000, add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>",
        bos_piece="<bos>", eos_piece="<eos>", user_defined_symbols=pieces, control_symbols=["<start_of_turn>", "<end_of_turn>"],
    )  # fmt: skip
    tokens, types, scores = sentencepiece_parts(model)
    path = os.path.join(FIXTURES, "gemma.gguf")
    write_vocabulary(
        path, architecture="gemma3", model="llama", scores=scores, types=types, bos_token_id=2, eos_token_id=1, unknown_token_id=3,
        tokens=[token.replace("▁", " ") if type == USER_DEFINED else token for token, type in zip(tokens, types)],
        add_bos_token=True, add_space_prefix=False,
    )  # fmt: skip
    encode = encoder(from_gguf(path))
    compare_with_sentencepiece("gemma", model, encode)
    write_ids("gemma", encode)
    compress(path)


def small_byte_level():
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    # Without the names of control tokens, which must not be tokens of their own.
    texts = [text for text in training_text() if "<|" not in text and "<think" not in text]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    # Words that no merges lead to: only who ignores merges finds them.
    lone = ["trellisgarden", "Ġcamel", "Ġfunctions", "HTTP", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<think>"]
    assert not set(tokens) & set(lone)
    types = [NORMAL] * (len(tokens) + 4) + [CONTROL] * 4 + [USER_DEFINED]
    path = os.path.join(FIXTURES, "byte-level.gguf")
    write_vocabulary(
        path, architecture="llama", model="gpt2", pre="default", tokens=[*tokens, *lone], types=types,
        merges=[" ".join(merge) for merge in model["merges"]], bos_token_id=len(tokens) + 4, eos_token_id=len(tokens) + 6,
    )  # fmt: skip
    for pre in BYTE_LEVEL:
        write_ids(f"byte-level.{pre}", encoder(from_gguf(path, pre)))
    compress(path)


def small():
    with tempfile.TemporaryDirectory() as folder:
        small_llama(folder)
        small_gemma(folder)
    small_byte_level()
    with open(os.path.join(FIXTURES, "extra-lines.json"), "w") as out:
        json.dump(EXTRA, out, ensure_ascii=False, indent=1)


# ---- Published tokenizers


def backend_of(description):
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps(description))


def real(name, source, out):
    os.makedirs(out, exist_ok=True)
    kind = {"tokenizer.json": real_json, "tekken.json": real_tekken}.get(os.path.basename(source), real_sentencepiece)
    encode, parts = kind(name, source)
    write_vocabulary(os.path.join(out, f"{name}.gguf"), **parts)
    write_ids(f"real.{name}", encode)


def real_json(name, source):
    """A tokenizer.json has the order of merges in place of SentencePiece's scores."""
    with open(source) as file:
        published = json.load(file)
    model = published["model"]
    tokens = {token: name for name, token in model["vocab"].items()}
    types = dict.fromkeys(tokens, NORMAL)
    for token in published["added_tokens"]:
        tokens[token["id"]] = token["content"]
        types[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    size = max(tokens) + 1
    tokens = [tokens.get(token, f"[PAD{token}]") for token in range(size)]
    types = [types.get(token, UNUSED) for token in range(size)]
    if model["byte_fallback"]:
        types = [BYTE if token.startswith("<0x") and len(token) == 6 else type for token, type in zip(tokens, types)]
        tokens = [token.replace("▁", " ") if type == USER_DEFINED else token for token, type in zip(tokens, types)]
        types[tokens.index("<unk>")] = UNKNOWN
        ranks = {}
        for rank, merge in enumerate(model["merges"]):
            ranks.setdefault("".join(merge.split(" ") if isinstance(merge, str) else merge), -float(rank))
        scores = [ranks.get(token, 0.0) for token in tokens]
        parts = {"model": "llama", "scores": scores, "unknown_token_id": tokens.index("<unk>")}
        parts["add_space_prefix"] = published["normalizer"]["type"] != "Replace"
    else:
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        parts = {"model": "gpt2", "merges": merges, "pre": REAL_PRE[name]}
    return encoder(backend_of(published)), {"architecture": "llama", "tokens": tokens, "types": types, **parts}


REAL_PRE = {"llama3": "llama-bpe", "qwen3": "qwen2", "deepseek-v3": "deepseek-v3"}


def real_sentencepiece(name, source):
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=source)
    tokens, types, scores = sentencepiece_parts(model)
    control = {model.id_to_piece(token): token for token in (model.unk_id(), model.bos_id(), model.eos_id())}

    def encode(line, plain):
        """sentencepiece reads no control tokens out of a text."""
        cut = [line] if plain else re.split(f"({'|'.join(map(re.escape, control))})", line)
        return [id for i, part in enumerate(cut) for id in ([control[part]] if i % 2 else model.encode(part))]

    parts = {"architecture": "llama", "model": "llama", "tokens": tokens, "types": types, "scores": scores, "unknown_token_id": model.unk_id()}
    return encode, parts


def real_tekken(name, source):
    import base64

    import tiktoken
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    with open(source) as file:
        published = json.load(file)
    config = published["config"]
    special = config["default_num_special_tokens"]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in published["vocab"][: config["default_vocab_size"] - special]}
    spelling = bytes_to_unicode()
    spell = lambda token: "".join(spelling[byte] for byte in token)
    merges = []
    for token, rank in ranks.items():
        cuts = [(token[:at], token[at:]) for at in range(1, len(token))]
        merges += sorted((rank, ranks[left], ranks[right], left, right) for left, right in cuts if left in ranks and right in ranks)
    merges = [f"{spell(left)} {spell(right)}" for _, _, _, left, right in sorted(merges)]
    model = tiktoken.Encoding(name, pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={})
    tokens = [f"<SPECIAL_{token}>" for token in range(special)] + [spell(token) for token in ranks]
    parts = {"architecture": "llama", "model": "gpt2", "pre": "tekken", "merges": merges, "tokens": tokens}
    parts["types"] = [CONTROL] * special + [NORMAL] * len(ranks)
    return lambda line, plain: [token + special for token in model.encode_ordinary(line)], parts


def show(name, line):
    with tempfile.TemporaryDirectory() as folder:
        family, _, pre = name.partition(".")
        path = os.path.join(folder, "vocabulary.gguf")
        with gzip.open(os.path.join(FIXTURES, f"{family}.gguf.gz")) as source, open(path, "wb") as out:
            out.write(source.read())
        backend = from_gguf(path, pre)
        for plain in (False, True):
            ids = encoder(backend)(lines()[int(line)], plain)
            print(json.dumps({"line": lines()[int(line)], "ids": ids, "tokens": [backend.id_to_token(id) for id in ids]}, ensure_ascii=False))


OTHER_CUTS = other_cuts()

if __name__ == "__main__":
    os.makedirs(FIXTURES, exist_ok=True)
    {"small": small, "real": real, "show": show}[sys.argv[1]](*sys.argv[2:])
