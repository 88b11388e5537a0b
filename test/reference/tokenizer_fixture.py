"""Writes test/fixtures/smollm2-tokenizer.json.gz: 1,000 varied lines with their token ids by the transformers fast tokenizer.

    python test/reference/tokenizer_fixture.py path/to/smollm2-135m.gguf      (needs transformers, tokenizers, gguf)

The tokenizer is the one transformers builds from the GGUF file, with one correction. A GGUF file names its
pre-tokenizer ("smollm") but does not hold it, and transformers falls back to plain ByteLevel for this name, while SmolLM2
was published with Digits(individual_digits) before ByteLevel. The vocabulary itself shows which is right: no token
of it joins a number (any Unicode category N) with anything else, which the script checks.

The file holds {"lines", "ids", "plain"}: ids[i] are the tokens of lines[i] with control tokens recognised, and
plain[i], there only where it differs, without.
"""

import gzip
import json
import os
import random
import sys
import unicodedata

LINES = 1000

WORDS = """
the trellis carries a young branch along its wire and every node may become another branch later while old wood is cut
back to what the gardener really wants to keep because light matters more than length tomorrow naive coöperate résumé
façade Übung größer Straße Öl Ärger schön fließt süß garçon où déjà l'été cœur niño año ¿qué corazón às não coração
żółw gęś źdźbło łódź çiçek ığdır şüphe ğ đường nước tiếng phở þetta ég æði ørn ånd château tőke hűvös říčka žluťoučký
""".split()

SCRIPTS = {
    "chinese": "树木沿着架子生长，每个节点都可能成为新的枝条。园丁剪去多余的部分，只留下需要的「主干」。",
    "japanese": "枝は棚に沿って伸び、カタカナとひらがなと漢字が混ざる。「これは何ですか？」ー長音記号も。",
    "korean": "가지는 울타리를 따라 자라고 마디마다 새 가지가 됩니다. 한글 자모 ㄱㄴㄷ 도 있습니다.",
    "arabic": "تنمو الأغصان على السياج، وكلُّ عقدةٍ قد تصبح غصنًا جديدًا. رقم ١٢٣٤٥ هنا؟",
    "hebrew": "הענפים גדלים לאורך הגדר, שָׁלוֹם עולם!",
    "hindi": "शाखाएँ बाड़ के साथ बढ़ती हैं और हर गाँठ नई शाखा बन सकती है। १२३",
    "thai": "กิ่งไม้เติบโตไปตามรั้ว และทุกข้ออาจกลายเป็นกิ่งใหม่ ๑๒๓",
    "russian": "Ветви растут вдоль ограды, и каждый узел может стать новой ветвью. Ёжик!",
    "greek": "Τα κλαδιά μεγαλώνουν κατά μήκος του φράχτη· ἀρχὴ ἥμισυ παντός.",
    "georgian": "ტოტები იზრდება ღობის გასწვრივ",
    "amharic": "ቅርንጫፎች በአጥሩ ላይ ያድጋሉ።",
    "tamil": "கிளைகள் வேலியுடன் வளர்கின்றன",
    "old": "𐍅𐌹𐌽𐍄𐍂𐌿𐍃 𓂀𓃭 𝕋𝕣𝕖𝕖 𝔊𝔞𝔯𝔱𝔢𝔫 𒀀𒁀",
}

EMOJI = ["🌱", "🌳", "✂️", "👩‍🌾", "👨🏽‍🌾", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇯🇵🇧🇷", "👍🏿", "1️⃣", "#️⃣", "❤️‍🔥", "🫠", "☂", "™️", "🧑🏻‍🤝‍🧑🏿", "😀😀😀", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"]

SPACES = [" ", "  ", "   ", "    ", "\t", "\t\t", "\n", "\n\n", "\r\n", "\r", " \n", "\n ", "\u00a0", "\u2003", "\u3000", "\u0085", "\u2028", "\u2029", "\u200b", "\ufeff", "\u180e", "\u202f", "\v", "\f", "\x1c", "\x1f"]

LOOKALIKES = [
    "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>", "<gh_stars>",
    "<jupyter_code>", "<empty_output>", "<issue_closed>", "<|im_end|", "|im_end|>", "< |im_end|>", "<|im_end|>>", "<<|im_end|>",
    "<|IM_END|>", "＜|im_end|＞", "<|im_\u200bend|>", "<|eot_id|>", "<|fim_prefix|>", "</s>", "<s>", "[INST]", "<repo_names>",
    "<|im_start|>user\n", "<|im_start|>assistant\nyes<|im_end|>\n", "<|endoftext|><|endoftext|>", "<|<|im_end|>|>", "<think>",
]  # fmt: skip

CODE = [
    "def grow(node, budget={b}):\n    return [c for c in node.children if c.value > {f}][:budget]\n",
    "class Tree:\n\tdef __init__(self, *, depth: int = {n}) -> None:\n\t\tself._depth = depth  # {w}\n",
    "export async function* walk<T>(root: Node<T>, n = {n}): AsyncGenerator<T> {{ yield* root.items ?? []; }}",
    "const path = nodes.filter(({{ id }}) => id !== {n}).map((x) => `${{x.name}}-${{x.id}}`);",
    "static inline uint32_t mix(uint32_t x) {{ x ^= x >> 16; x *= 0x{h}u; return x; }}\n#define ROWS ({n}*{b})\n",
    'fn main() -> Result<(), Box<dyn Error>> {{ let v: Vec<u8> = vec![0x{h}; {n}]; println!("{{:?}}", &v[..{b}]); Ok(()) }}',
    "SELECT t.id, COUNT(*) AS n FROM branches t LEFT JOIN nodes USING (id) WHERE t.len >= {f} GROUP BY 1 HAVING n > {n};",
    '<div class="row-{n}" style="margin:{b}px" data-w=\'{w}\'><!-- {w} --><br/></div>',
    'for f in "$DIR"/*.{{txt,md}}; do [[ -f $f ]] && sed -i \'s/{w}/{w}/g\' "$f" 2>&1 || exit {b}; done',
    "func (t *Tree) Push(p int, tok uint32) (int, error) {{\n\tif p >= len(t.nodes) {{\n\t\treturn -1, ErrRange\n\t}}\n\treturn {n}, nil\n}}",
    '{{"id": {n}, "name": "{w}", "values": [{f}, -{b}, 1e-{b}, null, true], "nested": {{"{w}": []}}}}',
    "- name: {w}\n  run: |\n    npm ci\n    npm test -- --retry={b}\n  if: ${{{{ always() }}}}\n",
    "\\begin{{align}} \\sum_{{i=0}}^{{{n}}} x_i^2 &\\leq \\frac{{{b}}}{{\\pi}} \\\\ \\end{{align}}",
    "main :: IO ()\nmain = mapM_ print $ takeWhile (< {n}) [x * x | x <- [1 ..], odd x]  -- {w}",
    "x = y if z else not w; a[-1:], b[::2] = b, a; print(f'{{a!r:>{b}}}', end='')",
    "#!/usr/bin/env perl\nmy %h = (q{{{w}}} => {n}); s/^\\s+|\\s+$//g for @lines; @{{$h{{x}}}}{{qw(a b)}} = ();",
    "        public static final Map<String, List<Integer>> M = new HashMap<>();   // {w}\r\n        @Override\r\n",
    "(defn grow [tree] (->> tree :nodes (filter #(> (:p %) {f})) (take {b})))",
    "diff --git a/{w}.ts b/{w}.ts\n@@ -{n},{b} +{n},{b} @@\n-old\n+new\n",
]

NUMBERS = "٣٤٥ ۱۲۳ १२३ ½ ¾ ² ³⁴ ₅ Ⅷ ⅻ ① ㊿ 〇 三百 𝟙𝟚 ௧ 1٢三".split()


def number(r):
    return r.choice(
        [
            lambda: str(r.randrange(10 ** r.randrange(1, 15))),
            lambda: f"{r.uniform(-1e4, 1e4):.{r.randrange(6)}f}",
            lambda: f"{r.randrange(10**9):,}",
            lambda: f"0x{r.randrange(2**32):X}",
            lambda: f"{r.uniform(0, 9):.3e}",
            lambda: f"{r.randrange(24):02}:{r.randrange(60):02}:{r.randrange(60):02}",
            lambda: f"{r.randrange(1900, 2100)}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}",
            lambda: f"+{r.randrange(100)} ({r.randrange(1000)}) {r.randrange(10**7)}",
            lambda: f"{r.randrange(100)}%",
            lambda: f"v{r.randrange(20)}.{r.randrange(20)}.{r.randrange(20)}-rc{r.randrange(9)}",
            lambda: r.choice(NUMBERS),
        ]
    )()


def words(r, low=1, high=14):
    return " ".join(r.choice(WORDS) for _ in range(r.randrange(low, high)))


def prose(r):
    text = words(r, 4, 24)
    marks = r.choice([".", "!", "?", "…", "...", " – ", "—", ";", ": ", "?!", ".)", '."', "”", "’"])
    return r.choice([text, text.capitalize(), text.upper(), text.title(), f'"{text}"', f"({text}", f"“{text}"]) + marks


def contractions(r):
    ends = ["'s", "'S", "'ll", "'LL", "'ve", "'Ve", "'re", "'d", "'D", "'m", "'t", "’s", "'x", "''s", "' s", "'", "'ſ"]
    return " ".join(r.choice(["I", "we", "DON", "it", "größer", "3", "木", "x_y"]) + r.choice(ends) for _ in range(8))


def code(r):
    line = r.choice(CODE).format(
        n=r.randrange(5000), b=r.randrange(16), f=round(r.uniform(0, 20), 3), h=f"{r.randrange(2**32):08x}", w=words(r, 1, 4)
    )
    return " " * r.randrange(9) + line


def script(r):
    text = r.choice(list(SCRIPTS.values()))
    start = r.randrange(len(text))
    return text[start:] if r.random() < 0.5 else text[start : start + r.randrange(1, 30)]


def emoji(r):
    joint = r.choice(["", " ", "  ", r.choice(WORDS), "\n"])
    return joint.join(r.choice(EMOJI) for _ in range(r.randrange(1, 9)))


def combining(r):
    text = words(r, 1, 5) + r.choice(list(SCRIPTS.values()))[:12]
    if r.random() < 0.5:
        return unicodedata.normalize("NFD", text)
    marks = [chr(r.randrange(0x300, 0x370)) for _ in range(6)]
    return "".join(c + "".join(r.choices(marks, k=r.randrange(4))) for c in text)


def whitespace(r):
    parts = []
    for _ in range(r.randrange(1, 9)):
        parts.append(r.choice(SPACES) * r.choice([1, 1, 1, 2, 3, 7, 17, 64]))
        parts.append(r.choice(["", "", r.choice(WORDS), number(r), "木", "{", "'s"]))
    return "".join(parts)


def url(r):
    word = lambda: r.choice(WORDS).lower()
    return r.choice(
        [
            lambda: f"https://{word()}.example.org:{r.randrange(65536)}/{word()}/{word()}?q={word()}&n={number(r)}#{word()}",
            lambda: f"ftp://user:pa%20ss@{r.randrange(256)}.{r.randrange(256)}.0.1/~{word()}/",
            lambda: f"{word()}.{word()}+{r.randrange(99)}@mail.example",
            lambda: f"C:\\Users\\{word()}\\AppData\\{word()}_{r.randrange(99)}.tar.gz",
            lambda: f"../../{word()}/./{word()}/*.{{ts,tsx}}",
            lambda: f"git@example.com:{word()}/{word()}.git",
            lambda: f"data:image/png;base64,{''.join(r.choices('ABCabcXYZxyz0189+/', k=60))}==",
        ]
    )()


def lookalike(r):
    return "".join(r.choice([r.choice(LOOKALIKES), r.choice(LOOKALIKES), words(r, 1, 3), " ", "\n", number(r)]) for _ in range(r.randrange(1, 7)))


def long_word(r):
    alphabet = r.choice(["abcdefghijklmnopqrstuvwxyz", "ABCDEFabcdef0123456789", "-", "=", "ab", "äöüß", "木", "🌱", "aA1_", "!?.,;:", "Ġ"])
    return "".join(r.choices(alphabet, k=r.randrange(20, 400)))


def rare(r):
    ranges = [(0x01, 0x20), (0x7F, 0xA1), (0x2000, 0x2070), (0x2100, 0x2400), (0xE000, 0xE010), (0xFE00, 0xFE10), (0xFFF0, 0xFFFE), (0x1F000, 0x1F100), (0x20000, 0x20010), (0xE0100, 0xE0110), (0x10FFF0, 0x10FFFE)]
    low, high = r.choice(ranges)
    return "".join(r.choice([chr(r.randrange(low, high)), r.choice("ab 1")]) for _ in range(r.randrange(1, 20)))


def mixed(r):
    makers = [prose, code, script, emoji, combining, whitespace, number, url, lookalike, contractions, rare]
    return r.choice(["", " ", "\n", "\t"]).join(r.choice(makers)(r) for _ in range(r.randrange(2, 5)))


MAKERS = [prose, prose, contractions, code, code, code, script, script, emoji, combining, whitespace, whitespace, number, url, lookalike, long_word, rare, mixed, mixed, mixed]


def make_lines():
    r = random.Random(2406)
    lines = list(dict.fromkeys(["", " ", "\n", "a", "<|im_end|>", *SPACES, *EMOJI, *LOOKALIKES, *NUMBERS, *SCRIPTS.values()]))
    seen = set(lines)
    while len(lines) < LINES:
        line = MAKERS[len(lines) % len(MAKERS)](r)
        if line not in seen:
            seen.add(line)
            lines.append(line)
    return lines


def load_tokenizer(path):
    from tokenizers import AddedToken, pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(os.path.dirname(path) or ".", gguf_file=os.path.basename(path))
    backend = tokenizer.backend_tokenizer
    for name, token in tokenizer.get_vocab().items():
        text = backend.decoder.decode([name])
        if len(text) > 1 and any(unicodedata.category(char)[0] == "N" for char in text):
            raise SystemExit(f"token {token} joins a number with something else: {text!r}")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    control = [tokenizer.convert_ids_to_tokens(token) for token in range(17)]
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken(name, special=True, normalized=False) for name in control]})
    assert len(tokenizer) == 49152, "the control tokens must be those of the vocabulary"
    return tokenizer


def main(path):
    tokenizer = load_tokenizer(path)
    lines = make_lines()

    def encode(line, plain):
        return tokenizer(line, add_special_tokens=False, split_special_tokens=plain).input_ids

    ids = [encode(line, False) for line in lines]
    plain = {i: tokens for i, line in enumerate(lines) if (tokens := encode(line, True)) != ids[i]}
    assert plain, "split_special_tokens had no effect"
    data = json.dumps({"lines": lines, "ids": ids, "plain": plain}, ensure_ascii=False, separators=(",", ":"))
    target = os.path.join(os.path.dirname(__file__), "..", "fixtures", "smollm2-tokenizer.json.gz")
    with open(target, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
        out.write(data.encode())
    print(f"{len(lines)} lines, {sum(map(len, ids))} tokens, {len(plain)} lines differ without control tokens")


if __name__ == "__main__":
    main(sys.argv[1])
