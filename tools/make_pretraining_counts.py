"""Writes fixtures/pretrain: what create_pretraining_data.py of google-research/albert makes of a small corpus, as counts over
many passes, and where nothing is random, as it is.

Usage: python tools/make_pretraining_counts.py ALBERT [OUT]

ALBERT is a checkout of google-research/albert; its file is run as it is, with small stand-ins for TensorFlow, TensorFlow Hub
and six, which it uses for flags and files. OUT defaults to fixtures/pretrain. Needs numpy and sentencepiece. Written with
Python 3.11, numpy 2.4.6, sentencepiece 0.2.3.

`corpus.txt` comes from the generator `Random` below; no letter of a word is unknown to the tokenizer, since the script decides by
the text of an unknown piece whether it begins a word. `counts.json` holds the documents as lengths of sentences with the
tokenizer of fixtures/tokenizer/albert.model, and for each of a few settings the number of passes and for each bin (a range of
lengths, of positions, …) the sum over the passes of its count and of its square: passes are independent, samples of a pass
are not. `words.json` holds random pieces with whether they begin words; sequences with their words and boundaries; budgets;
truncations by scripted draws.
"""
import collections
import importlib.util
import json
import pathlib
import random
import sys
import types

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
MASK64 = 2**64 - 1


class Random:
    """splitmix64"""

    def __init__(self, seed):
        self.state = seed

    def bits(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK64
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
        return z ^ (z >> 31)

    def below(self, n):
        return self.bits() % n

    def random(self):
        return (self.bits() >> 11) / 2**53


class Flags:
    """tf.flags, as far as the file uses it."""

    def __init__(self):
        self.FLAGS = types.SimpleNamespace()

    def _define(self, name, default, _help):
        setattr(self.FLAGS, name, default)

    DEFINE_string = DEFINE_bool = DEFINE_integer = DEFINE_float = _define


class GFile:
    """tf.gfile.GFile: its lines end at line feeds alone."""

    def __init__(self, path, mode):
        text = "b" not in mode
        self.file = open(path, mode, **({"encoding": "utf-8", "newline": "\n"} if text else {}))
        self.readline, self.read = self.file.readline, self.file.read

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def load(folder):
    """The module create_pretraining_data."""
    def module(name, **contents):
        sys.modules[name] = made = types.ModuleType(name)
        vars(made).update(contents)
        return made

    def ensure_str(text, encoding="utf-8", _errors="strict"):
        return text.decode(encoding) if isinstance(text, bytes) else text

    def ensure_binary(text, encoding="utf-8", _errors="strict"):
        return text.encode(encoding) if isinstance(text, str) else text

    moves = module("six.moves", range=range, zip=zip)
    module("six", PY2=False, PY3=True, ensure_str=ensure_str, ensure_text=ensure_str, ensure_binary=ensure_binary,
           moves=moves)
    logging = types.SimpleNamespace(info=lambda *_: None)
    v1 = module("tensorflow.compat.v1", flags=Flags(), gfile=types.SimpleNamespace(GFile=GFile), logging=logging)
    module("tensorflow", compat=module("tensorflow.compat", v1=v1))
    module("tensorflow_hub")

    def run(name):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        return made
    tokenization = run("tokenization")
    module("albert", tokenization=tokenization)
    sys.modules["albert.tokenization"] = tokenization
    return run("create_pretraining_data")


WORDS = """the a of and to in is was that this not it which because although often never always quickly slowly reader writer
teacher window garden river mountain engine winter summer letter reads writes opens closes carries follows painting
openness reading understanding unbelievable forgets remembers walks counts Paris O'Neil naïve 1998 12,000 3.5 €5 a/b
end-to-end Über""".split()
ENDS = [".", "!", "?", " .", "…", ""]


def corpus():
    draw = Random(2020)
    documents = []
    for document in range(36):
        sentences = []
        for _ in range([1, 3, 8, 14, 5, 2][document % 6]):
            count = [3, 8, 12, 20, 1, 6, 70][draw.below(40) % 7 if draw.below(12) == 0 else draw.below(6)]
            words = [WORDS[draw.below(len(WORDS))] for _ in range(1 + draw.below(count))]
            sentences.append(" ".join(words) + ENDS[draw.below(len(ENDS))])
        documents.append(sentences)
    gaps = ["\n", "\n\n", " \t\n", "\r\n\n"]
    text = "\n"
    for i, sentences in enumerate(documents):
        ends = ["\n", "\n", " \n", "\r\n"]
        text += "".join(line + ends[(i + j) % 4] for j, line in enumerate(sentences)) + gaps[i % 4]
    return text


SETTINGS = {
    "order": dict(max_seq_length=64, max_predictions_per_seq=10, short_seq_prob=0.1, masked_lm_prob=0.15, ngram=3,
                  random_next_sentence=False, favor_shorter_ngram=True, do_whole_word_mask=True),
    "next": dict(max_seq_length=64, max_predictions_per_seq=10, short_seq_prob=0.3, masked_lm_prob=0.15, ngram=3,
                 random_next_sentence=True, favor_shorter_ngram=False, do_whole_word_mask=True),
    "tokens": dict(max_seq_length=32, max_predictions_per_seq=8, short_seq_prob=0.0, masked_lm_prob=0.3, ngram=2,
                   random_next_sentence=False, favor_shorter_ngram=True, do_whole_word_mask=False),
}
PASSES = 400


def bins(instances):
    """Counts of a pass by the names of their bins."""
    counts = collections.Counter()
    for instance in instances:
        tokens, places = instance.tokens, instance.masked_lm_positions
        length = len(tokens)
        counts["instances"] += 1
        counts[f"length {length // 4 * 4}"] += 1
        counts[f"first {(instance.segment_ids.index(1) - 2) // 4 * 4}"] += 1
        counts[f"label {int(instance.is_random_next)}"] += 1
        counts[f"predictions {len(places)}"] += 1
        counts["boundaries"] += sum(instance.token_boundary)
        for place in range(length):
            counts[f"present {place // 4 * 4}"] += 1
        run = 0
        for i, place in enumerate(places):
            counts[f"masked {place // 4 * 4}"] += 1
            before = instance.masked_lm_labels[i]
            kind = "mask" if tokens[place] == "[MASK]" else "kept" if tokens[place] == before else "other"
            counts[f"kind {kind}"] += 1
            run += 1
            if i + 1 == len(places) or places[i + 1] != place + 1:
                counts[f"run {min(run, 7)}"] += 1
                run = 0
    return counts


def counts(google, corpus_file, tokenizer):
    documents = []
    original = google.create_instances_from_document

    def capture(all_documents, document_index, *_):
        if document_index == 0:
            documents.extend(all_documents)
        return []
    google.create_instances_from_document = capture
    vars(google.FLAGS).update(spm_model_file="given", do_lower_case=True)
    google.create_training_instances([corpus_file], tokenizer, 64, 1, 0.1, 0.15, 10, random.Random(1))
    google.create_instances_from_document = original

    lengths = sorted([len(sentence) for sentence in document] for document in documents)
    result = {"lengths": lengths, "vocab_size": len(tokenizer.vocab), "settings": {}}
    vocab_words = list(tokenizer.vocab.keys())
    for name, setting in SETTINGS.items():
        vars(google.FLAGS).update(setting)
        rng = random.Random(12345)
        np.random.seed(12345)
        sums, squares = collections.Counter(), collections.Counter()
        for _ in range(PASSES):
            instances = []
            for index in range(len(documents)):
                instances += google.create_instances_from_document(
                    documents, index, setting["max_seq_length"], setting["short_seq_prob"], setting["masked_lm_prob"],
                    setting["max_predictions_per_seq"], vocab_words, rng)
            for key, count in bins(instances).items():
                sums[key] += count
                squares[key] += count * count
        result["settings"][name] = setting | {
            "passes": PASSES, "bins": {key: [sums[key], squares[key]] for key in sorted(sums)}}
    return result


class Captured(Exception):
    pass


class Capture:
    """A generator that stops where the candidates are shuffled."""

    def shuffle(self, candidates):
        raise Captured([candidate[0][0] for candidate in candidates])


def words(google, tokenizer):
    draw = Random(7)
    alphabet = list("abcxyzABZ0379.,-/:;'\"!?()<>=[]{}_~#$%&*+@^`|\\▁ éßΩЖ中€£ſİ\u212a\u0301")
    pieces = ["", "▁", "<unk>", "[CLS]", "[MASK]", "##", "##ing", "://", "**"]
    while len(pieces) < 3000:
        length = 1 + draw.below([1, 2, 4, 8][draw.below(4)])
        simple = draw.below(2) == 0
        letters = alphabet[:6] if simple else alphabet
        prefix = ["", "", "▁", "##"][draw.below(4)]
        pieces.append(prefix + "".join(letters[draw.below(len(letters))] for _ in range(length)))
    sentencepiece = "".join(str(int(google._is_start_piece_sp(piece))) for piece in pieces)
    wordpiece = "".join(str(int(google._is_start_piece_bert(piece))) for piece in pieces)

    vocabulary = list(tokenizer.vocab)
    sequences = []
    for case in range(60):
        count = 1 + draw.below(80)
        ids = [2] + [draw.below(len(vocabulary)) for _ in range(count)] + [3]
        ids[1 + draw.below(count)] = 3
        tokens = [vocabulary[i] for i in ids]
        whole = case % 4 != 3
        vars(google.FLAGS).update(ngram=1, do_whole_word_mask=whole, spm_model_file="given", favor_shorter_ngram=True)
        boundary = google.create_masked_lm_predictions(tokens, 0, 1, vocabulary, None)[3]
        try:
            google.create_masked_lm_predictions(tokens, 0.15, 1, vocabulary, Capture())
        except Captured as captured:
            groups = captured.args[0]
        sequences.append({"ids": ids, "whole_word": whole, "boundary": boundary, "words": groups})

    budgets = []
    for prob, most in [(0.15, 20), (0.15, 512), (0.1, 76), (0.25, 512), (0.5, 512), (1.0, 512), (0.005, 20)]:
        of = [min(most, max(1, int(round(length * prob)))) for length in range(1, 513)]
        budgets.append({"probability": prob, "max_predictions": most, "budgets": of})

    truncations = []
    for seed in range(300):
        draw = Random(seed)
        a, b = list(range(1 + draw.below(40))), list(range(1 + draw.below(40)))
        case = [seed, len(a), len(b), 2 + draw.below(45)]
        google.truncate_seq_pair(a, b, case[3], draw)
        truncations.append(case + [a[0], a[-1] + 1, b[0], b[-1] + 1])
    return {"pieces": pieces, "sentencepiece": sentencepiece, "wordpiece": wordpiece, "sequences": sequences,
            "budgets": budgets, "truncations": truncations}


def main():
    google = load(pathlib.Path(sys.argv[1]))
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "fixtures/pretrain"
    out.mkdir(parents=True, exist_ok=True)
    corpus_file = out / "corpus.txt"
    corpus_file.write_bytes(corpus().encode())
    model = str(ROOT / "fixtures/tokenizer/albert.model")
    tokenizer = sys.modules["albert.tokenization"].FullTokenizer(None, do_lower_case=True, spm_model_file=model)

    def write(name, value):
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        # A line for each list of a list, so that changes can be read.
        (out / name).write_text(text.replace("],", "],\n").replace("},", "},\n") + "\n", encoding="utf-8")
    write("words.json", words(google, tokenizer))
    write("counts.json", counts(google, corpus_file, tokenizer))


if __name__ == "__main__":
    main()
