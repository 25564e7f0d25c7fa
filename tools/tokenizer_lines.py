"""Lines of text that try to make tokenizers differ, the same for each seed.

    python tools/tokenizer_lines.py --pieces spiece.vocab --lines 1000 TEXT... > lines.txt

Six kinds: lines of the given texts, the same reversed, random Unicode, random mixtures of vocabulary
pieces, strings around special tokens, numbers, quotes and white space, and long words. No line holds
\\n, which ends it. TEXT may be compressed with zstd (needs the program zstd).
"""
import argparse, random, subprocess, sys

RANGES = [
    (0x00, 0x09), (0x0B, 0x1F), (0x20, 0x7E), (0x7F, 0xA0), (0xA0, 0xFF), (0x100, 0x24F), (0x250, 0x2FF), (0x300, 0x36F),
    (0x370, 0x3FF), (0x400, 0x52F), (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF),
    (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20FF), (0x2100, 0x218F), (0x2460, 0x24FF),
    (0x2580, 0x2583), (0x3000, 0x303F), (0x3040, 0x30FF), (0x3200, 0x33FF), (0x4E00, 0x4EFF), (0xAC00, 0xACFF),
    (0xD7B0, 0xD7FF), (0xE000, 0xE010), (0xF900, 0xFAFF), (0xFB00, 0xFB4F), (0xFB50, 0xFDFF), (0xFE00, 0xFE0F), (0xFE20, 0xFE2F),
    (0xFE50, 0xFEFF), (0xFF00, 0xFFEF), (0xFFF0, 0xFFFF), (0x10000, 0x100FF), (0x10400, 0x1044F), (0x10D40, 0x10D8F),
    (0x11700, 0x11740), (0x1D400, 0x1D7FF), (0x1E030, 0x1E08F), (0x1F100, 0x1F1FF), (0x1F300, 0x1F6FF), (0x2F800, 0x2FA1F),
    (0xE0100, 0xE01EF), (0x0, 0x10FFFF),
]
SPACES = [chr(c) for c in [0x20, 0x20, 0x20, 0x09, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x1F, 0x85, 0xA0, 0x1680, 0x2000, 0x2003,
                           0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0x200B, 0xFEFF, 0x7F, 0x00, 0xAD, 0x2581]]
SPECIAL = ["[CLS]", "[SEP]", "[MASK]", "<pad>", "<unk>", "[cls]", "[Mask]", "<PAD>", "<s>", "</s>", "[CLS", "CLS]", "[[CLS]]", "<unk",
           "``", "''", "`", "'", '"', "```", "'''", "2000,", "1,000,000", "3,", "10,", "٣,", "②,", "½,", "1990s,", ",", ".", "-", "–",
           "(", ")", "£", "€", "▁", "▁the", "▁2000,", "...", "…", "don’t", "“q”", "—", "ﬁ", "™", "é", "e\u0301", "ß", "İ", "ΟΔΟΣ", "Σ",
           "ς", "𝚺", "K", "Å", "Ａ", "①", "㍿", "ﷺ", "½", "x²", "a\u0327\u0301", "\u0301", "가", "가", "👍🏽", "👨‍👩‍👧", "\u200d",
           "\ufe0f", "a\x00b", "\x00", "word", "Word", "WORD", "the", "of", "in", "pleeeeease", "YOOOOOOOOOOO", "aaaaaaaa"]


def read(path):
    if path.endswith(".zst"):
        data = subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout
    else:
        data = open(path, "rb").read()
    return data.decode("utf-8", "replace").split("\n")


def character(r):
    while True:
        low, high = r.choice(RANGES)
        code = r.randint(low, high)
        if code != 0x0A and not 0xD800 <= code < 0xE000:
            return chr(code)


def unicode_line(r):
    ranges = [r.choice(RANGES) for _ in range(r.randint(1, 4))]
    out = []
    for _ in range(int(r.expovariate(1 / 30)) + 1):
        low, high = r.choice(ranges)
        code = r.randint(low, high)
        if code != 0x0A and not 0xD800 <= code < 0xE000:
            out.append(chr(code))
        if r.random() < 0.1:
            out.append(r.choice(SPACES))
    return "".join(out)


def piece_line(r, pieces):
    glue = r.choice(["", "", "", " ", "."])
    out = []
    for _ in range(int(r.expovariate(1 / 12)) + 1):
        piece = r.choice(pieces)
        if r.random() < 0.7:
            piece = piece.replace("▁", " ")
        if r.random() < 0.1:
            piece = piece.upper()
        if r.random() < 0.2:
            piece = piece[r.randint(0, len(piece)):]
        out.append(piece)
    return glue.join(out)


def special_line(r):
    out = []
    for _ in range(int(r.expovariate(1 / 6)) + 1):
        kind = r.random()
        if kind < 0.6:
            out.append(r.choice(SPECIAL))
        elif kind < 0.85:
            out.append(r.choice(SPACES) * r.choice([1, 1, 1, 2, 3]))
        elif kind < 0.95:
            out.append("".join(r.choice("0123456789,.") for _ in range(r.randint(1, 8))))
        else:
            out.append(character(r))
        if r.random() < 0.3:
            out.append(" ")
    return "".join(out)


def long_line(r, pieces):
    length = int(10 ** r.uniform(2, 5))
    kind = r.randint(0, 5)
    if kind == 0:
        return r.choice("aeqzXé字") * length
    if kind == 1:
        return "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(length))
    if kind == 2:
        return "".join(r.choice(pieces).replace("▁", "") for _ in range(length // 5 + 1))
    if kind == 3:
        return " ".join(r.choice(pieces).replace("▁", "") for _ in range(length // 6 + 1))
    if kind == 4:
        return "".join(r.choice(["字", "é", "x", "’"]) for _ in range(length // 3))
    return "".join(chr(r.choice([0x20, 0x61, 0x301, 0x3000, 0x4E00, 0x1F600])) for _ in range(length // 3))


def lines(count, seed, texts, pieces):
    """Yields (kind, line); `count` lines in all, or somewhat fewer where the texts are short."""
    r = random.Random(seed)
    text = (line for path in texts for line in read(path) if line)
    wanted = [("text", 0.4), ("reversed", 0.15), ("unicode", 0.15), ("pieces", 0.15), ("special", 0.15)]
    makers = {"unicode": lambda: unicode_line(r), "pieces": lambda: piece_line(r, pieces), "special": lambda: special_line(r)}
    yield "special", ""
    for kind, share in wanted:
        for _ in range(int(count * share)):
            if kind in makers:
                yield kind, makers[kind]().replace("\n", "")
                continue
            line = next(text, None)
            if line is None:
                line = makers["pieces"]().replace("\n", "")
            yield kind, line if kind == "text" else line[::-1]
    for _ in range(max(count // 5000, 5)):
        yield "long", long_line(r, pieces)


def vocabulary(path):
    return [line.split("\t")[0] for line in open(path, encoding="utf-8") if line.strip()]


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("text", nargs="*")
    p.add_argument("--pieces", required=True, help="a .vocab file: piece, tab, score")
    p.add_argument("--lines", type=int, default=1000)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_intermixed_args()
    out = sys.stdout.buffer
    for _, line in lines(a.lines, a.seed, a.text, vocabulary(a.pieces)):
        out.write(line.encode() + b"\n")
