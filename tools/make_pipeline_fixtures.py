"""Writes fixtures/pipelines: small models with random weights and what transformers' pipelines answer with them.

Usage: python make_pipeline_fixtures.py [OUT]           OUT defaults to ../fixtures/pipelines
       python make_pipeline_fixtures.py [OUT] --folders  the folders of sentence-transformers alone
Needs transformers 4.57 and, for --folders, sentence-transformers: run that once with version 5 and once with 6.

The layout is in pipelines.py. The encoder and the tokenizer are those of fixtures/demo; the heads are normal numbers of
deviation 0.5, those of classifiers scaled; all stored as BF16. Texts longer than 128 tokens are cut or read in parts.
The texts are our own. Where a candidate's score is so close to the next one that the order is left to rounding, the
input is left out.
"""
import argparse
import pathlib
import random

import safetensors.torch
import torch
from transformers import AutoTokenizer, logging

import pipelines
from pipelines import Set
from pipelines_reference import make_model

ROOT = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
GAP = 2e-6  # smaller distances of neighbouring scores are left to rounding

TEXTS = [
    "The river of the city is long.", "Paris is the capital of France.", "It was a good book, and she was at home.",
    "Rome, the old capital of Italy!", "He is on the great river", "A small word in another sentence.", "bad",
    "They that go to the city, they that stay: two words?", "This one is new; that one is old.", "  Two spaces before.",
    "Spaces  in  the   middle.", "Spaces after.  ", "CAPITALS IN ROME", "Caf\u00e9 na\u00efve \u00c9t\u00e9, d\u00e9j\u00e0 vu.",
    "A smile \U0001F600 and a heart \u2764\ufe0f.", "\u6771\u4eac is a city, \u041c\u043e\u0441\u043a\u0432\u0430 another.",
    "e\u0301 is two code points", "Tabs\tand\u00a0other\u2003blanks", "don't, it's 'quoted' ``so''", "1999 - 2026: 27 years, 3.5% more",
    "(parentheses) and [brackets]", "a-b-c d.e.f", "?", "long long long long long", "The first sentence. The second sentence.",
    "She read one good book in Paris and two bad books in Rome.", "Where is the short word?", "he he he", "great, great, great river!",
    "It is another small city of another old country in the south.",
]
PLACES = ["Paris", "Rome", "Italy", "France", "the city", "the river", "another country", "Caf\u00e9 Roma", "an old book"]
MASKED = [
    "The capital of France is [MASK].", "[MASK] is a city.", "A good [MASK] in Paris", "The [MASK] river is long.", "It was [MASK]",
    "  [MASK] and spaces  before", "caf\u00e9 [MASK] \U0001F600", "he[MASK] is", "The old, [MASK], great city!", "\u6771\u4eac [MASK]",
    "She was at the [MASK] of the river.", "One [MASK] word", "this is \u00c9t\u00e9 [MASK].", "[MASK]", "in the\u00a0[MASK] country", "two\t[MASK]",
    "They [MASK] on it.", "good [MASK]!", "a-[MASK]-b", "Rome  [MASK]  Italy",
]
SEVERAL = ["The [MASK] of [MASK] is Paris.", "[MASK] [MASK]", "A [MASK], a [MASK] and a [MASK].", "he [MASK]  they[MASK]"]
QUESTIONS = ["Where is the river?", "What is the capital of Italy?", "Who was at home", "  Which book is good?", "O\u00f9 est le caf\u00e9 \U0001F600?"]


def numbers(name):
    """Random numbers of a set."""
    return random.Random(name)


def long_text(source, sentences):
    """Several sentences in one text."""
    return " ".join(source.choice(TEXTS).replace("  ", " ") for _ in range(sentences))


def one_text(texts):
    return [{"text": text} for text in texts]


def pairs():
    source = numbers("pairs")
    made = [{"text": text, "pair": source.choice(TEXTS)} for text in TEXTS[:22]]
    return made + [{"text": long_text(source, 5), "pair": long_text(source, 4)}, {"text": TEXTS[0], "pair": long_text(source, 8)},
                   {"text": long_text(source, 8), "pair": TEXTS[3]}]


def text_sets(models):
    """fill-mask and the tasks on whole texts."""
    source, base = numbers("texts"), models["base"]
    long = [long_text(source, 8) for _ in range(2)]
    every = {"top_k": None}
    yield Set("fill-mask", "one", base, ["fill-mask"], {}, one_text(MASKED + ["[MASK] " + text for text in long]))
    yield Set("fill-mask", "several", base, ["fill-mask", "--top-k", "3"], {"top_k": 3}, one_text(SEVERAL))
    words = ["river", "Paris", "xyz", "the", "\u2581good", "a"]
    yield Set("fill-mask", "targets", base, ["fill-mask", "--targets", ",".join(words)], {"targets": words}, one_text(MASKED[:12]))
    yield Set("fill-mask", "targets-2", base, ["fill-mask", "--targets", "old,new,great", "--top-k", "2"],
              {"targets": ["old", "new", "great"], "top_k": 2}, one_text(MASKED[8:] + SEVERAL[:2]))

    def classify(name, model, items, parameters=None, arguments=()):
        return Set("classify", name, models[model], ["classify", *arguments], parameters or {}, items)

    yield classify("one", "three", one_text(TEXTS + long))
    yield classify("all", "three", one_text(TEXTS), every, ["--top-k", "all"])
    yield classify("pair", "three", pairs(), {"top_k": 2}, ["--top-k", "2"])
    for name in ("sigmoid", "none"):
        yield classify(name, "three", one_text(TEXTS[:20]), {**every, "function_to_apply": name}, ["--top-k", "all", "--apply", name])
    yield classify("multi_label", "multi_label", one_text(TEXTS[:25]), every, ["--top-k", "all"])
    yield classify("regression", "regression", one_text(TEXTS[:12]) + pairs()[:12])
    choices = [["old", "new"], ["a good book", "a bad book", "Caf\u00e9"], ["city", "river", "country", "word", "sentence"]]
    for model in ("three", "first", "unnamed"):
        for i, labels in enumerate(choices):
            template = [None, "It is {}.", "{}"][i]
            multi = i == 1 or (model == "first" and i == 2)
            arguments = ["classify", "--labels", ",".join(labels)] + ["--multi-label"] * multi
            parameters = {"candidate_labels": labels, "multi_label": multi}
            if template:
                arguments, parameters = arguments + ["--template", template], {**parameters, "hypothesis_template": template}
            yield Set("zero-shot", f"{model}-{i}", models[model], arguments, parameters, one_text(TEXTS[3 * i: 3 * i + 19] + long[:1]))
    items = [{"text": item["text"], "pair": item["pair"]} for item in pairs()]
    yield Set("sentence-order", "pairs", base, ["sentence-order"], {}, items)
    yield Set("features", "last", base, ["features"], {}, one_text(TEXTS[:6]))
    yield Set("features", "all", base, ["features", "--layers", "all"], {"layers": "all"}, one_text(TEXTS[6:8]))
    for pooling in ("mean", "cls", "max", "pooler"):
        yield Set("embed", pooling, base, ["embed", "--pooling", pooling], {"pooling": pooling, "normalize": False},
                  one_text(TEXTS[:20] + long[:1]))
    yield Set("embed", "normalized", base, ["embed", "--pooling", "mean", "--normalize"], {"pooling": "mean", "normalize": True},
              one_text(TEXTS[:20]))


def tag_sets(models):
    """Five ways to join tokens, with B- and I- and without, in parts, on words."""
    source = numbers("tag")
    sentences = [f"{source.choice(TEXTS).strip()} {source.choice(PLACES)} {source.choice(['and', ',', 'of'])} {source.choice(PLACES)}"
                 for _ in range(6)]
    for strategy in ("none", "simple", "first", "average", "max"):
        def one(name, model, items, parameters=None, arguments=()):
            return Set("tag", f"{strategy}-{name}", models[model], ["tag", "--aggregation", strategy, *arguments],
                       {"aggregation_strategy": strategy, **(parameters or {})}, items)

        yield one("places", "tags", one_text(TEXTS[:20] + sentences))
        yield one("everything", "tags", one_text(TEXTS[9:25]), {"ignore_labels": []}, ["--ignore-labels", ""])
        yield one("bare", "bare", one_text(TEXTS[:12] + sentences))
        yield one("words", "tags", [{"words": text.split()} for text in TEXTS[:16]])
        if strategy != "none":
            yield one("stride", "tags", one_text([long_text(source, 20) for _ in range(3)]), {"stride": 16}, ["--stride", "16"])


def answer_sets(models):
    """The parameters of question answering, one or two at a time."""
    source = numbers("answer")

    def some(count, low=2, high=4):
        return [{"question": source.choice(QUESTIONS), "context": long_text(source, source.randint(low, high)) if i % 3 else source.choice(TEXTS)}
                for i in range(count)]

    def one(name, items, parameters=None, arguments=()):
        return Set("answer", name, models["answer"], ["answer", *arguments], parameters or {}, items)

    yield one("default", some(35))
    yield one("top-3", some(20), {"top_k": 3}, ["--top-k", "3"])
    yield one("no-answer", some(20), {"handle_impossible_answer": True, "top_k": 2}, ["--no-answer", "--top-k", "2"])
    yield one("no-align", some(20), {"align_to_words": False}, ["--no-align"])
    yield one("length-3", some(20), {"max_answer_len": 3}, ["--max-answer-tokens", "3"])
    yield one("long", some(12, 10, 25), {"top_k": 2}, ["--top-k", "2"])
    yield one("stride", some(20, 4, 8), {"max_seq_len": 64, "doc_stride": 20}, ["--max-tokens", "64", "--stride", "20"])


def choose_sets(models):
    """Readings with one to five choices."""
    source = numbers("choose")
    items = [{"text": long_text(source, 2 if i % 6 else 9), "question": source.choice(QUESTIONS), "choices": source.sample(PLACES, 1 + i % 5)}
             for i in range(24)]
    yield Set("choose", "places", models["choose"], ["choose"], {}, items)


@torch.no_grad()
def spread(model):
    """Scales and centres the logits of a classifier over TEXTS: the pooler of random weights hardly tells texts apart."""
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "demo")
    logits = torch.stack([model.eval()(**tokenizer(text, return_tensors="pt")).logits[0] for text in TEXTS])
    factor = 0.5 / logits.std(0, keepdim=True)
    model.classifier.weight.mul_(factor.T)
    model.classifier.bias.copy_((model.classifier.bias - logits.mean(0)) * factor[0])


def make_models(out):
    """The models, all with the encoder of fixtures/demo."""
    sequence, token = "AlbertForSequenceClassification", "AlbertForTokenClassification"
    tags = ["O", "B-place", "I-place", "B-book", "I-book"]
    recipes = {
        "three": (sequence, "classifier", dict(labels=["contradiction", "neutral", "entailment"])),
        "first": (sequence, "classifier", dict(labels=["Entailment", "neutral", "contradiction"])),
        "unnamed": (sequence, "classifier", dict(num_labels=3)),
        "multi_label": (sequence, "classifier", dict(labels=["food", "sport", "art", "law"], problem_type="multi_label_classification")),
        "regression": (sequence, "classifier", dict(num_labels=1, problem_type="regression")),
        "tags": (token, "classifier", dict(labels=tags)), "bare": (token, "classifier", dict(labels=["O", "place", "book"])),
        "answer": ("AlbertForQuestionAnswering", "qa_outputs", {}), "choose": ("AlbertForMultipleChoice", "classifier", {}),
    }
    for seed, (name, (class_name, head, config)) in enumerate(recipes.items()):
        make_model(out / "models" / name, ROOT / "demo", class_name, head, seed, dtype=torch.bfloat16, adjust=spread if class_name == sequence else None, **config)
    return {name: out / "models" / name for name in recipes} | {"base": ROOT / "demo"}


def close(value):
    """Whether neighbouring scores in an answer are too close to order."""
    if isinstance(value, dict):
        return close([{"score": score} for score in value["scores"]]) if "labels" in value else False
    if not isinstance(value, list):
        return False
    scores = [item["score"] for item in value if isinstance(item, dict) and "score" in item]
    if any(isinstance(item, dict) and "start" in item and "answer" not in item for item in value):
        return False  # tags stand in the order of the text
    return any(abs(a - b) < GAP for a, b in zip(scores, scores[1:])) or any(close(item) for item in value if isinstance(item, list))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", nargs="?", type=pathlib.Path, default=ROOT / "pipelines")
    parser.add_argument("--folders", action="store_true")
    options = parser.parse_args()
    logging.set_verbosity_error()
    if options.folders:
        import sentence_folders  # needs sentence-transformers
        names = ["mean-last"] if sentence_folders.MAJOR >= 6 else ["short", "cls-max"]
        for name in names:
            sentence_folders.write(options.out, ROOT / "demo", name, TEXTS[:20], dense_width=8, short=16)
        return
    models = make_models(options.out)
    # One of them as PyTorch wrote it before 1.6, as the oldest files of published models are.
    tensors = safetensors.torch.load_file(options.out / "models" / "three" / "model.safetensors")
    torch.save(tensors, options.out / "three_pytorch_model.bin", _use_new_zipfile_serialization=False)
    engines = {}
    for made in (text_sets, tag_sets, answer_sets, choose_sets):
        for one in made(models):
            key = (one.task, one.model)
            if key not in engines:
                engines[key] = pipelines.Engine(one.task, one.model)
            kept = [item for item in one.inputs if not close(engines[key].run(item, one.parameters))]
            if len(kept) < len(one.inputs):
                print(f"{one.task}/{one.name}: {len(one.inputs) - len(kept)} of {len(one.inputs)} left out")
            one.inputs = kept
            pipelines.write(one, options.out, engines[key], 6 if one.task in ("features", "embed") else None)


if __name__ == "__main__":
    main()
