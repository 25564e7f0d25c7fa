"""Compares our modes with their references, line by line: ids, and offsets where the reference has them.

    cargo build --release -p albert-tokenizer --example encode
    python tools/tokenizer_diff.py MODE MODEL VOCAB --binary target/release/examples/encode --lines 1200000 TEXT...

MODE        reference, imported from the Python that runs this
sentencepiece   sentencepiece: ids, byte offsets
hf-slow, hf-slow-keep-accents   transformers 4.30.2 AlbertTokenizer (from_pretrained): ids
google, google-cased   tokenization.py of google-research/albert (--google FILE): ids

Prints the differences (--show of them) and counts by kind of line. Exit status 1 if there are any.
A difference counts as a tie (and is listed as one) only for ids, and only if the f32 sums of both paths
lie within one unit in the last place.
"""
import argparse, collections, importlib.util, itertools, os, shutil, struct, subprocess, sys, tempfile, types

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tokenizer_lines


def reference(mode, model, google):
    import sentencepiece

    sp = sentencepiece.SentencePieceProcessor()
    sp.Load(model)
    print("sentencepiece", sentencepiece.__version__, "python", sys.version.split()[0], flush=True)
    if mode == "sentencepiece":
        key = {"return_type": "proto"} if hasattr(sentencepiece, "_to_spt") else {"out_type": "immutable_proto"}

        def encode(line):
            # Of bytes, offsets count bytes; older releases count code points of text, and take only text.
            if "return_type" in key:
                proto = sp.encode(line, **key)
                return [(p.id, p.begin, p.end) for p in proto.pieces]
            starts = list(itertools.accumulate((len(c.encode()) for c in line), initial=0))
            return [(p.id, starts[p.begin], starts[p.end]) for p in sp.encode(line, **key).pieces]

        return encode, sp
    if mode.startswith("hf-slow"):
        import transformers

        transformers.logging.set_verbosity_error()
        print("transformers", transformers.__version__, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(model, f"{folder}/spiece.model")
            t = transformers.AlbertTokenizer.from_pretrained(folder, keep_accents=mode.endswith("keep-accents"))
        return lambda line: t.convert_tokens_to_ids(t.tokenize(line)), sp
    # tokenization.py wants TensorFlow for its logs and files only, and of six only what Python 3 has.
    six = types.ModuleType("six")
    six.PY2, six.PY3, six.text_type = False, True, str
    six.ensure_binary = lambda s: s.encode() if isinstance(s, str) else s
    six.ensure_text = lambda s, encoding="utf-8", errors="strict": s.decode(encoding, errors) if isinstance(s, bytes) else s
    six.moves = types.ModuleType("six.moves")
    six.moves.range = range
    sys.modules.setdefault("six", six)
    sys.modules.setdefault("six.moves", six.moves)
    for name in ["tensorflow", "tensorflow.compat", "tensorflow.compat.v1", "tensorflow_hub"]:
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["tensorflow"].compat = sys.modules["tensorflow.compat"]
    sys.modules["tensorflow.compat"].v1 = sys.modules["tensorflow.compat.v1"]
    spec = importlib.util.spec_from_file_location("albert_tokenization", google)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lower = mode == "google"
    return lambda line: module.encode_ids(sp, module.preprocess_text(line, lower=lower)), sp


def total(sp, low, ids):
    """The sum of a path in f32, roughly: unknown runs count once."""
    f32 = lambda x: struct.unpack("f", struct.pack("f", x))[0]
    s = 0.0
    for i in ids:
        s = f32(s + (low - 10 if sp.IsUnknown(i) else sp.GetScore(i)))
    return s


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("mode")
    p.add_argument("model")
    p.add_argument("vocab")
    p.add_argument("text", nargs="*")
    p.add_argument("--binary", required=True)
    p.add_argument("--google")
    p.add_argument("--lines", type=int, default=20000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--show", type=int, default=20)
    a = p.parse_intermixed_args()
    encode, sp = reference(a.mode, a.model, a.google)
    low = min(sp.GetScore(i) for i in range(sp.GetPieceSize()))
    spans = a.mode == "sentencepiece"
    lines = tokenizer_lines.lines(a.lines, a.seed, a.text, tokenizer_lines.vocabulary(a.vocab))
    count, wrong, ties = collections.Counter(), collections.Counter(), []
    while batch := list(itertools.islice(lines, 20000)):
        feed = b"".join(line.encode() + b"\n" for _, line in batch)
        ours = subprocess.run([a.binary, a.mode, a.model, "offsets" if spans else "ids"], input=feed, capture_output=True, check=True)
        plain = subprocess.run([a.binary, a.mode, a.model, "offsets"], input=feed, capture_output=True, check=True) if not spans else \
            subprocess.run([a.binary, a.mode, a.model, "ids"], input=feed, capture_output=True, check=True)
        rows, others = ours.stdout.decode().split("\n")[:-1], plain.stdout.decode().split("\n")[:-1]
        assert len(rows) == len(others) == len(batch), (len(rows), len(others), len(batch))
        for (kind, line), row, other in zip(batch, rows, others):
            want = encode(line)
            values = list(map(int, row.split()))
            got = list(zip(values[::3], values[1::3], values[2::3])) if spans else values
            # Our two ways, with offsets and without, must agree on ids.
            both = list(map(int, other.split()))
            both = both[::3] if not spans else both
            count[kind] += 1
            ids = [g[0] for g in got] if spans else got
            if got == want and ids == both:
                continue
            theirs = [w[0] for w in want] if spans else want
            x, y = total(sp, low, ids), total(sp, low, theirs)
            if ids != theirs and ids == both and abs(x - y) <= abs(x) * 2**-23:
                ties.append(line[:80])
            wrong[kind] += 1
            if sum(wrong.values()) <= a.show:
                print(f"DIFF {kind} {line[:200]!r}\n  ours   {got[:40]}\n  theirs {want[:40]}\n  sums {x} {y}", flush=True)
    print(f"{a.mode}: {sum(count.values())} lines {dict(count)}; {sum(wrong.values())} differences {dict(wrong)}; of these ties: {len(ties)} {ties[:20]}")
    sys.exit(1 if wrong else 0)


main()
