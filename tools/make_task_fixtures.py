"""Writes fixtures/tasks: what scikit-learn, SciPy, seqeval, torchmetrics and transformers say of random answers, and what
transformers' tokenizer makes of small files.

Usage: python tools/make_task_fixtures.py UTILS_QA [OUT]

UTILS_QA is examples/pytorch/question-answering/utils_qa.py of transformers. OUT defaults to fixtures/tasks. Needs
transformers 4.57.6, torch, scikit-learn 1.9.1, SciPy 1.17.1, seqeval 1.2.2, torchmetrics 1.9.0.

`metrics.json` holds for each case its seed and the expected measures: the answers come from the generator `Random` below,
which crates/train/tests/metrics.rs repeats. `answers.json` is the same for the choice of answers from logits.
`squad_features.json` and `tag_features.json` hold the token numbers and labels for `squad.json` and `tags.conll`, which are
written by hand, with the tokenizer of fixtures/demo. Labels of SQuAD come from `char_to_token`.
"""
import importlib.util
import json
import pathlib
import sys
import types

import numpy as np
import scipy.stats
import seqeval.metrics
import sklearn.metrics
import torchmetrics.functional.text
import transformers
from transformers.data.metrics.squad_metrics import squad_evaluate

ROOT = pathlib.Path(__file__).resolve().parent.parent
MASK = 2**64 - 1


class Random:
    """splitmix64"""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % n

    def shuffled(self, n):
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return order


def classes(seed, n, count, right):
    """`right` of 8 answers are right; the others are drawn."""
    r, found, expected = Random(seed), [], []
    for _ in range(n):
        e = r.below(count)
        expected.append(e)
        found.append(e if r.below(8) < right else r.below(count))
    out = {
        "accuracy": sklearn.metrics.accuracy_score(expected, found),
        "matthews": sklearn.metrics.matthews_corrcoef(expected, found),
        "f1": sklearn.metrics.f1_score(expected, found, labels=[1], average="micro", zero_division=0),
        "macro_f1": sklearn.metrics.f1_score(expected, found, average="macro", zero_division=0),
    }
    return {"kind": "classes", "seed": seed, "n": n, "count": count, "right": right, "expected": out}


def values(seed, n, noise):
    r, x, y = Random(seed), [], []
    for _ in range(n):
        y.append(r.below(26) / 5)
        x.append(y[-1] + (r.below(2 * noise + 1) - noise) / 8)
    out = {
        "pearson": scipy.stats.pearsonr(x, y)[0],
        "spearman": scipy.stats.spearmanr(x, y)[0],
        "mse": sklearn.metrics.mean_squared_error(y, x),
    }
    return {"kind": "values", "seed": seed, "n": n, "noise": noise, "expected": {k: float(v) for k, v in out.items()}}


def several(seed, n, count):
    r = Random(seed)
    found, expected = np.zeros((n, count), int), np.zeros((n, count), int)
    for i in range(n):
        for j in range(count):
            e = r.below(4) == 0
            expected[i, j] = e
            found[i, j] = e if r.below(3) > 0 else r.below(2)
    f1 = lambda average: float(sklearn.metrics.f1_score(expected, found, average=average, zero_division=0))
    out = {"micro": f1("micro"), "macro": f1("macro"), "accuracy": sklearn.metrics.accuracy_score(expected, found)}
    return {"kind": "several", "seed": seed, "n": n, "count": count, "expected": out}


TAGS = {
    "bio": ["O", "O", "B-a", "I-a", "B-b-c", "I-b-c"],
    "iob1": ["O", "I-a", "I-b", "B-a"],
    "bioes": ["O", "O", "B-a", "I-a", "E-a", "S-a", "B-b", "E-b", "S-b"],
    "one": ["O", "B-a", "I-a"],
    "outside": ["O"],
}


def tags(seed, n, names):
    r, found, expected = Random(seed), [], []
    labels = TAGS[names]
    for _ in range(n):
        words = 1 + r.below(12)
        expected.append([labels[r.below(len(labels))] for _ in range(words)])
        found.append([e if r.below(4) > 0 else labels[r.below(len(labels))] for e in expected[-1]])
    measures = ["precision", "recall", "f1", "accuracy"]
    of = {m: getattr(seqeval.metrics, m + "_score") for m in measures}
    options = lambda m: {} if m == "accuracy" else {"zero_division": 0}
    out = {m: float(of[m](expected, found, **options(m))) for m in measures}
    return {"kind": "tags", "seed": seed, "n": n, "labels": labels, "expected": out}


WORDS = ["the", "a", "An", "Rome", "rome", "river", "old", "U.S.", "12", "–", "Zoë", "(long)", "the-city", "of", "'s", "!"]


def text(r, least):
    return " ".join(WORDS[r.below(len(WORDS))] for _ in range(least + r.below(4)))


def questions(seed, n, unanswerable):
    """Answers that are right, those of a model, and how much each question seems to have no answer. Without questions that
    have none, every right answer has a word: torchmetrics gives F1 = 1 to two answers without words, evaluate-v1.1.py 0."""
    r, gold, found, odds = Random(seed), [], [], []
    for _ in range(n):
        answers = [] if unanswerable and r.below(3) == 0 else [text(r, 1) for _ in range(1 + r.below(3))]
        if not unanswerable:
            answers = [answer + " of" for answer in answers]
        kind = r.below(4)
        if kind == 0 and answers:
            found.append(answers[-1].lower())
        elif kind == 1:
            found.append("")
        else:
            found.append(text(r, 1))
        gold.append(answers)
        odds.append((r.below(800) - 400) / 32)
    return gold, found, odds


def squad_v1(seed, n):
    gold, found, _ = questions(seed, n, False)
    out = torchmetrics.functional.text.squad(
        [{"prediction_text": p, "id": str(i)} for i, p in enumerate(found)],
        [{"answers": {"answer_start": [0] * len(g), "text": g}, "id": str(i)} for i, g in enumerate(gold)],
    )
    return {"kind": "squad_v1", "seed": seed, "n": n, "expected": {k: float(v) for k, v in out.items()}}


def squad_v2(seed, n, unanswerable, threshold):
    gold, found, odds = questions(seed, n, unanswerable)
    named = [types.SimpleNamespace(qas_id=str(i), answers=[{"text": t} for t in g]) for i, g in enumerate(gold)]
    by_id = lambda values: {str(i): value for i, value in enumerate(values)}
    limit = float("inf") if threshold is None else threshold
    out = squad_evaluate(named, by_id(found), by_id(odds), limit)
    case = {"kind": "squad_v2", "seed": seed, "n": n, "unanswerable": unanswerable, "threshold": threshold}
    return case | {"expected": {k: float(v) for k, v in out.items()}}


def answers(utils, out, seed, count, null, n_best, longest, threshold):
    """Questions whose context is `w0 w1 …`, in windows with a question of two tokens; all logits of a window differ."""
    r = Random(seed)
    examples, features, starts, ends = [], [], [], []
    for q in range(count):
        words = 1 + r.below(30)
        context = " ".join(f"w{i}" for i in range(words))
        places = [(context.index(f"w{i}"), context.index(f"w{i}") + len(f"w{i}")) for i in range(words)]
        examples.append({"id": f"q{q}", "context": context})
        first = 0
        while True:
            tokens = places[first : first + 12]
            offsets = [None] * 4 + tokens + [None]
            features.append({"example_id": f"q{q}", "offset_mapping": offsets})
            for logits in (starts, ends):
                logits.append(np.array([(x - 6) / 2 for x in r.shuffled(len(offsets))], np.float32))
            if first + 12 >= words:
                break
            first += 8

    class Columns(list):
        def __getitem__(self, key):
            return [e[key] for e in self] if isinstance(key, str) else list.__getitem__(self, key)

    utils.tqdm = lambda x: x
    utils.postprocess_qa_predictions(
        Columns(examples), features, (starts, ends), null, n_best, longest, threshold, str(out), "made"
    )
    read = lambda name: json.loads((out / f"made_{name}.json").read_text())
    texts, best = read("predictions"), read("nbest_predictions")
    odds = read("null_odds") if null else {}
    for path in out.glob("made_*.json"):
        path.unlink()
    expected = [
        {"text": texts[i], "odds": odds.get(i, 0.0), "best": [[b["text"], b["start_logit"], b["probability"]] for b in best[i]]}
        for i in texts
    ]
    case = {"seed": seed, "count": count, "null": null, "n_best": n_best, "longest": longest, "threshold": threshold}
    return case | {"expected": expected}


def squad_features(tokenizer, path):
    data = json.loads(path.read_text())["data"]
    found = []
    for question, context in ((q, p["context"]) for a in data for p in a["paragraphs"] for q in p["qas"]):
        e = tokenizer(
            question["question"].lstrip(), context, truncation="only_second", max_length=40, stride=10,
            return_overflowing_tokens=True,
        )
        for i, ids in enumerate(e["input_ids"]):
            place = [0, 0]
            if question["answers"]:
                answer = question["answers"][0]
                begin = answer["answer_start"]
                ends = [e.char_to_token(i, at, 1) for at in (begin, begin + len(answer["text"]) - 1)]
                place = [0, 0] if None in ends else ends
            found.append([question["id"], ids, *place])
    return found


def tag_features(tokenizer, path):
    sentences = [[]]
    for line in path.read_text().split("\n"):
        if not line.strip() or line.startswith("-DOCSTART-"):
            sentences.append([])
        else:
            columns = line.split("\t") if "\t" in line else line.split()
            sentences[-1].append((columns[0], columns[-1]))
    sentences = [s for s in sentences if s]
    names = sorted({label for s in sentences for _, label in s})
    found = []
    for s in sentences:
        e = tokenizer([w for w, _ in s], is_split_into_words=True)
        labels, last = [], None
        for word in e.word_ids():
            labels.append(-100 if word is None or word == last else names.index(s[word][1]))
            last = word
        found.append([e["input_ids"], labels])
    return {"names": names, "rows": found}


def main():
    spec = importlib.util.spec_from_file_location("utils_qa", sys.argv[1])
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "fixtures" / "tasks"
    cases = [classes(1, 4000, 2, 6), classes(2, 3000, 3, 4), classes(3, 500, 7, 0), classes(4, 40, 2, 8)]
    cases += [values(5, 3000, 20), values(6, 1000, 400), values(7, 10, 1)]
    cases += [several(8, 1500, 6), several(9, 50, 2)]
    cases += [tags(20 + i, 800, names) for i, names in enumerate(TAGS)]
    cases += [squad_v1(30, 3000), squad_v1(31, 40)]
    cases += [squad_v2(40, 3000, True, None), squad_v2(41, 2000, True, -2.5), squad_v2(42, 500, False, 0.0)]
    chosen = [
        answers(utils, out, 50, 120, False, 4, 6, 0.0),
        answers(utils, out, 51, 120, True, 4, 6, 0.0),
        answers(utils, out, 52, 60, True, 20, 30, -7.0),
        answers(utils, out, 53, 40, True, 1, 2, 3.0),
    ]
    fast = transformers.AlbertTokenizerFast(tokenizer_file=str(ROOT / "fixtures" / "demo" / "tokenizer.json"))

    def write(name, value):
        (out / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")

    write("metrics.json", cases)
    write("answers.json", chosen)
    write("squad_features.json", squad_features(fast, out / "squad.json"))
    write("tag_features.json", tag_features(fast, out / "tags.conll"))


if __name__ == "__main__":
    main()
