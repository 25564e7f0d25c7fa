"""Compares the modes google and hf-slow over a vocab.txt with their references, text by text: ids.

    cargo build --release -p albert-tokenizer --example encode
    python tools/tokenizer_vocab_diff.py MODE VOCAB.txt --binary target/release/examples/encode --lines 1000000 TEXT...

MODE is hf-slow (transformers 4.30.2 BertTokenizer) or google (tokenization.py of google-research/albert, --google FILE),
with +cased behind it on request. A VOCAB.txt that does not exist is made from the texts: special tokens, characters of many
scripts, frequent words and their endings. Prints differences and counts by kind of text; exit status 1 if there are any.
"""
import argparse, collections, importlib.util, os, random, re, shutil, struct, subprocess, sys, tempfile, types

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tokenizer_lines

BREAKS = ["\n", "\r\n", "\n\n", "\r", "\x85", "\u2028"]


def make(path, sources):
    counts = collections.Counter()
    for source in sources:
        counts.update(re.findall(r"[a-z]+", "\n".join(tokenizer_lines.read(source)[:50_000]).lower()))
    words = [w for w, _ in counts.most_common(4000)]
    ends = collections.Counter(w[-n:] for w in words for n in (1, 2, 3, 4) if len(w) > n)
    chars = [chr(c) for a, b in [(0x21, 0x7E), (0xA1, 0xFF), (0x391, 0x3C9), (0x430, 0x451), (0x5D0, 0x5EA), (0x4E00, 0x4EFF),
                                 (0x3041, 0x30FF), (0x621, 0x64A), (0x2010, 0x2027), (0x3000, 0x3020)] for c in range(a, b + 1)]
    lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + chars + words + ["##" + c for c in chars] + ["##" + e for e, _ in ends.most_common(1500)]
    lines = list(dict.fromkeys(line for line in lines if line.strip()))
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        out.write("\n".join(lines) + "\n")


def reference(mode, vocab, google):
    base, _, flag = mode.partition("+")
    if base == "hf-slow":
        import transformers

        transformers.logging.set_verbosity_error()
        print("transformers", transformers.__version__, "python", sys.version.split()[0], flush=True)
        # from_pretrained registers the special tokens, which the constructor alone does not.
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(vocab, f"{folder}/vocab.txt")
            t = transformers.BertTokenizer.from_pretrained(folder, do_lower_case=flag != "cased")
        return lambda text: t.convert_tokens_to_ids(t.tokenize(text))
    for name in ["tensorflow", "tensorflow.compat", "tensorflow.compat.v1", "tensorflow_hub", "sentencepiece"]:
        sys.modules.setdefault(name, types.ModuleType(name))
    tf = sys.modules["tensorflow.compat.v1"]
    tf.gfile = types.SimpleNamespace(GFile=lambda path, mode: open(path, mode, encoding="utf-8"))
    tf.logging = types.SimpleNamespace(info=lambda *a: None)
    sys.modules["tensorflow"].compat, sys.modules["tensorflow.compat"].v1 = sys.modules["tensorflow.compat"], tf
    spec = importlib.util.spec_from_file_location("albert_tokenization", google)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    t = module.FullTokenizer(vocab, do_lower_case=flag != "cased")
    return lambda text: t.convert_tokens_to_ids(t.tokenize(text))


def ours(binary, mode, vocab, batch):
    data = b"".join(struct.pack("<I", len(t)) + t for t in (text.encode() for _, text in batch))
    out = subprocess.run([binary, mode, vocab, "frames"], input=data, stdout=subprocess.PIPE, check=True).stdout
    numbers = struct.unpack(f"<{len(out) // 4}I", out)
    at = 0
    for _ in batch:
        yield list(numbers[at + 1 : at + 1 + 4 * numbers[at] : 4])
        at += 1 + 4 * numbers[at]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("mode")
    p.add_argument("vocab")
    p.add_argument("texts", nargs="*")
    p.add_argument("--binary", required=True)
    p.add_argument("--google")
    p.add_argument("--lines", type=int, default=1_000_000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--show", type=int, default=10)
    a = p.parse_intermixed_args()
    if not os.path.exists(a.vocab):
        make(a.vocab, a.texts)
    pieces = [line.replace("##", "") for line in open(a.vocab, encoding="utf-8").read().split("\n") if line]
    encode = reference(a.mode, a.vocab, a.google)
    r = random.Random(a.seed)
    counts, differ = collections.Counter(), collections.Counter()

    def stream():
        for kind, line in tokenizer_lines.lines(a.lines, a.seed, a.texts, pieces):
            if r.random() < 0.05:
                at = r.randint(0, len(line))
                line = line[:at] + r.choice(BREAKS) + line[at:]
            yield kind, line

    texts = stream()
    while batch := [item for _, item in zip(range(50_000), texts)]:
        for (kind, text), ids in zip(batch, ours(a.binary, a.mode, a.vocab, batch)):
            counts[kind] += 1
            want = encode(text)
            if ids != want:
                differ[kind] += 1
                if sum(differ.values()) <= a.show:
                    print("DIFFERENT", kind, repr(text), "ours", ids, "reference", want, sep="\n  ")
        print(sum(counts.values()), "texts,", sum(differ.values()), "differ", flush=True)
    print(f"{a.mode}: by kind:", dict(counts), "different:", dict(differ))
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
