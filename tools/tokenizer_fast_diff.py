"""Compares the tokenizers family with its references, text by text: ids, offsets and word ids.

    cargo build --release -p albert-tokenizer --example encode
    python tools/tokenizer_fast_diff.py MODE FILE --binary target/release/examples/encode --lines 1000000 TEXT...

MODE              FILE                              reference, imported from the Python that runs this
hf-fast           tokenizer.json                    tokenizers
hf-fast-spiece    spiece.model (--json FILE)        tokenizers with that tokenizer.json
hf5               tokenizer.json                    transformers 5 AlbertTokenizer, only this file in its folder
hf5-spiece        spiece.model                      the same from spiece.model alone
wordpiece         tokenizer.json                    transformers BertTokenizerFast

+keep-accents, +cased, +no-prefix, +split-special behind MODE are handed to both sides, +general (no
fast way) to ours alone. Prints differences (--show of them), counts by kind of text, exit status 1 if
there are any. A difference is a tie, and listed as one, if the offsets cover the same text and the f64
sums of both paths lie within one unit in the last place of each other.
"""
import argparse, collections, json, math, os, random, shutil, struct, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tokenizer_lines

BREAKS = ["\n", "\r\n", "\n\n", " \n ", "\r"]


def reference(mode, file, json_file):
    import tokenizers

    print("tokenizers", tokenizers.__version__, "python", sys.version.split()[0], flush=True)
    base, *flags = mode.split("+")
    if base.startswith("hf-fast"):
        t = tokenizers.Tokenizer.from_file(json_file or file)
        t.no_truncation()
        t.no_padding()
        t.encode_special_tokens = "split-special" in flags
        return t
    os.environ["HF_HUB_OFFLINE"] = "1"
    import transformers

    print("transformers", transformers.__version__, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        name = "spiece.model" if base.endswith("spiece") else "tokenizer.json"
        shutil.copy(file, f"{folder}/{name}")
        if base == "wordpiece":
            return transformers.BertTokenizerFast.from_pretrained(folder)._tokenizer
        return transformers.AlbertTokenizer.from_pretrained(
            folder,
            keep_accents="keep-accents" in flags,
            do_lower_case="cased" not in flags,
            add_prefix_space="no-prefix" not in flags,
            split_special_tokens="split-special" in flags,
        )._tokenizer


def texts(r, pieces, sources, count):
    """Kind and text; one in twenty gets line ends inside, and a few are long."""
    for kind, line in tokenizer_lines.lines(count, r.random(), sources, pieces):
        if r.random() < 0.05:
            at = r.randint(0, len(line))
            line = line[:at] + r.choice(BREAKS) + line[at:]
        yield kind, line


def ours(binary, mode, file, batch):
    data = b"".join(struct.pack("<I", len(t)) + t for t in (text.encode() for _, text in batch))
    out = subprocess.run([binary, mode, file, "frames"], input=data, stdout=subprocess.PIPE, check=True).stdout
    numbers = struct.unpack(f"<{len(out) // 4}I", out)
    at, result = 0, []
    for _ in batch:
        n = numbers[at]
        rows = numbers[at + 1 : at + 1 + 4 * n]
        result.append((rows[0::4], tuple(zip(rows[1::4], rows[2::4])), rows[3::4]))
        at += 1 + 4 * n
    assert at == len(numbers)
    return result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("mode")
    p.add_argument("file")
    p.add_argument("texts", nargs="*")
    p.add_argument("--binary", required=True)
    p.add_argument("--json")
    p.add_argument("--lines", type=int, default=1_000_000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--show", type=int, default=10)
    a = p.parse_args()
    t = reference(a.mode, a.file, a.json)
    base, *flags = a.mode.split("+")
    mode = "+".join([{"hf-fast-spiece": "hf-fast", "hf5-spiece": "hf5", "wordpiece": "hf-fast"}.get(base, base), *flags])
    model = json.loads(t.to_str())["model"]
    vocab = model["vocab"]
    pieces = [piece for piece, _ in vocab] if isinstance(vocab, list) else list(vocab)
    scores = dict(map(tuple, vocab)) if isinstance(vocab, list) else {}
    r = random.Random(a.seed)
    counts, differ, shown, ties = collections.Counter(), collections.Counter(), 0, 0
    stream = texts(r, pieces, a.texts, a.lines)
    while batch := [item for _, item in zip(range(50_000), stream)]:
        mine = ours(a.binary, mode, a.file, batch)
        theirs = t.encode_batch([text for _, text in batch], add_special_tokens=False)
        for (kind, text), (ids, offsets, words), e in zip(batch, mine, theirs):
            counts[kind] += 1
            expected = (tuple(e.ids), tuple(e.offsets), tuple(e.word_ids))
            if (ids, offsets, words) == expected:
                continue
            differ[kind] += 1
            sums = [math.fsum(scores.get(t.id_to_token(i), 0.0) for i in side) for side in (ids, expected[0])]
            tie = ids != expected[0] and abs(sums[0] - sums[1]) <= math.ulp(sums[0]) * len(ids)
            ties += tie
            if shown < a.show:
                shown += 1
                print("TIE" if tie else "DIFFERENT", kind, repr(text), "ours", ids, offsets, words, "reference", *expected, sep="\n  ")
        print(sum(counts.values()), "texts,", sum(differ.values()), "differ,", ties, "ties", flush=True)
    print("by kind:", dict(counts), "different:", dict(differ))
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
