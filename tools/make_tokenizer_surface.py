"""Writes fixtures/tokenizer/surface_fast.jsonl and surface_slow.jsonl: truncation, padding, pairs, words and batches.

    python tools/make_tokenizer_surface.py fast     # needs tokenizers 0.23: fixtures/demo/tokenizer.json
    python tools/make_tokenizer_surface.py slow     # needs transformers 4.30.2: fixtures/tokenizer/albert.model

One object for each line: `inputs` (pairs of a text, or a list of words, and the same or null), `batch`, `options`
(names of transformers), and `expected`: a list of encodings, or null where the library refuses. The keys of an
encoding are those of crates/tokenizer/src/encoding.rs; a slow one has no offsets, words and windows.
"""
import json, os, random, shutil, sys, tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures")
WORDS = "the river Garden, of in 2000, café — [MASK] [SEP] paris don't unbelievable x".split()
CASES = 110


def request(r):
    def text():
        return " ".join(r.choice(WORDS) for _ in range(r.choice([0, 1, 2, 3, 5, 8, 12])))

    def words():
        return [r.choice(WORDS) if r.random() < 0.9 else "" for _ in range(r.choice([1, 2, 3, 6]))]

    batch, pair = r.random() < 0.4, r.random() < 0.5
    one = r.choice([text, text, words])
    inputs = [[one(), one() if pair else None] for _ in range(r.choice([1, 2, 3]) if batch else 1)]
    options = {
        "add_special_tokens": r.random() < 0.75,
        "truncation": r.choice(["longest_first", "longest_first", "only_first", "only_second", "do_not_truncate"]),
        "max_length": r.choice([4, 5, 6, 7, 8, 9, 11, 13, 16, 24]),
        "stride": r.choice([0, 0, 1, 2]),
        "truncation_side": r.choice(["left", "right"]),
        "padding": r.choice([None, "longest", "max_length"]),
        "padding_side": r.choice(["left", "right"]),
        "pad_to_multiple_of": r.choice([None, None, 2, 4]),
        "overflow": r.random() < 0.4,
    }
    if options["max_length"] % (options["pad_to_multiple_of"] or 1):
        options["pad_to_multiple_of"] = None
    return {"inputs": inputs, "batch": batch, "options": options}


def fast(case, tokenizer):
    o = case["options"]
    split = isinstance(case["inputs"][0][0], list)

    def shown(e, windows):
        found = {
            "ids": e.ids,
            "type_ids": e.type_ids,
            "attention_mask": e.attention_mask,
            "special_tokens_mask": e.special_tokens_mask,
            "offsets": e.offsets,
            "word_ids": e.word_ids,
            "sequence_ids": e.sequence_ids,
            "tokens": e.tokens,
        }
        if windows:
            found["overflowing"] = [shown(window, False) for window in e.overflowing] if o["overflow"] else []
        return found

    try:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        if o["truncation"] != "do_not_truncate":
            tokenizer.enable_truncation(
                o["max_length"], stride=o["stride"], strategy=o["truncation"], direction=o["truncation_side"]
            )
        if o["padding"]:
            tokenizer.enable_padding(
                direction=o["padding_side"],
                pad_id=0,
                pad_token="<pad>",
                length=o["max_length"] if o["padding"] == "max_length" else None,
                pad_to_multiple_of=o["pad_to_multiple_of"],
            )
        special = o["add_special_tokens"]
        if case["batch"]:
            inputs = [first if second is None else (first, second) for first, second in case["inputs"]]
            encodings = tokenizer.encode_batch(inputs, is_pretokenized=split, add_special_tokens=special)
        else:
            encodings = [tokenizer.encode(*case["inputs"][0], is_pretokenized=split, add_special_tokens=special)]
        return [shown(e, True) for e in encodings]
    except KeyboardInterrupt:
        raise
    except BaseException:  # some refusals are panics
        return None


def slow(case, tokenizer):
    o = case["options"]
    tokenizer.truncation_side, tokenizer.padding_side = o["truncation_side"], o["padding_side"]
    firsts, seconds = map(list, zip(*case["inputs"]))
    pair = seconds if seconds[0] is not None else None
    try:
        found = tokenizer(
            firsts if case["batch"] else firsts[0],
            pair if case["batch"] or pair is None else pair[0],
            add_special_tokens=o["add_special_tokens"],
            truncation=o["truncation"],
            max_length=o["max_length"],
            stride=o["stride"],
            padding=o["padding"] or False,
            pad_to_multiple_of=o["pad_to_multiple_of"],
            return_overflowing_tokens=o["overflow"],
            return_special_tokens_mask=True,
            is_split_into_words=isinstance(firsts[0], list),
        )
    except ValueError:
        return None
    names = {"input_ids": "ids", "token_type_ids": "type_ids"}
    one = lambda i: {names.get(k, k): v[i] if case["batch"] else v for k, v in found.items()}
    return [one(i) for i in range(len(firsts))]


def main():
    r, which = random.Random(11), sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        if which == "fast":
            import tokenizers

            path = os.path.join(ROOT, "demo", "tokenizer.json")
            tokenizer, run = tokenizers.Tokenizer.from_file(path), fast
        else:
            import transformers

            shutil.copy(os.path.join(ROOT, "tokenizer", "albert.model"), os.path.join(folder, "spiece.model"))
            tokenizer, run = transformers.AlbertTokenizer.from_pretrained(folder), slow
        with open(os.path.join(ROOT, "tokenizer", f"surface_{which}.jsonl"), "w", encoding="utf-8") as out:
            for _ in range(CASES):
                case = request(r)
                case["expected"] = run(case, tokenizer)
                out.write(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
