"""Writes what transformers' pipelines answer to a thousand inputs of each task, for pipelines_parity.py.

Usage: python pipelines_reference.py OUT --models DIR --data DIR [--tasks a,b] [--sets a,b] [--dtype float64] [--heads DIR]
       --models holds albert-tiny-en, albert-tiny-en-sst2, albert-tiny-en-wnut17: trained ALBERT folders of any size
       --data   holds pretrain/, glue/, ner/wnut17/, squad/ and race/: plain text, GLUE, WNUT-17, SQuAD, RACE

The layout of OUT is in pipelines.py; the models with random heads stand in OUT/models. Each task has 1,000 inputs,
features 55. Made with transformers 4.57, whose tokenizer gives pairs the token types 0 and 1; transformers 5 leaves
token types out (all are 0) and has no question answering: with it, that task is skipped. transformers 4.57 reads
max_question_len for slow tokenizers alone, so the set `question-cut` cuts the questions itself.
"""
import argparse
import json
import pathlib
import random
import re
import shutil
import time
import zlib

import torch
import transformers
from transformers import AutoTokenizer, logging

import pipelines
from pipelines import Set

ACCENTS = str.maketrans("aeiouncAEO", "àéîöüñçÂÉÖ")
EMOJI = ["\U0001F600", "\U0001F680\U0001F30D", "\u2764\ufe0f", "\U0001F469\u200d\U0001F52C"]
FOREIGN = ["東京", "Москва", "مرحبا", "ελληνικά", "서울"]
LABELS = {  # of the models with random heads
    "pair": ["different", "similar", "same"], "multi_label": ["food", "travel", "sport", "politics", "science"],
    "nli": ["contradiction", "neutral", "entailment"], "nli-first": ["ENTAILMENT", "neutral", "contradiction"],
    "nli-unnamed": None, "tag-bare": ["O", "person", "place", "thing"],
}


def numbers(*seed):
    """Random numbers that depend on what they are for, not on the order of the sets."""
    return random.Random(zlib.crc32(repr(seed).encode()))


# ---------------------------------------------------------------- models

def random_head(model, names, seed, std=0.5):
    """Normal numbers in the named layers, so that answers are decisive and differ from text to text."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in names:
            for parameter in model.get_submodule(name).parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)


def make_model(folder, source, class_name, head, seed, labels=None, dtype=torch.float32, adjust=None, **config):
    """A folder with the source's encoder, a random head and the source's tokenizer."""
    if labels:
        config |= {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    model = getattr(transformers, class_name).from_pretrained(source, **config)
    random_head(model, [head], seed)
    if adjust:
        adjust(model)
    model.to(dtype).save_pretrained(folder)
    for name in pipelines.TOKENIZER_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)


def make_models(out, base, tagger):
    """The models with random heads."""
    single, sequence, token = "single_label_classification", "AlbertForSequenceClassification", "AlbertForTokenClassification"
    recipes = {
        "pair": (sequence, "classifier", dict(problem_type=single)), "nli": (sequence, "classifier", {}),
        "nli-first": (sequence, "classifier", {}), "nli-unnamed": (sequence, "classifier", dict(num_labels=3)),
        "multi_label": (sequence, "classifier", dict(problem_type="multi_label_classification")),
        "regression": (sequence, "classifier", dict(num_labels=1, problem_type="regression")),
        "tag-bare": (token, "classifier", {}), "tag-random": (token, "classifier", {}),
        "answer": ("AlbertForQuestionAnswering", "qa_outputs", {}), "choose": ("AlbertForMultipleChoice", "classifier", {}),
    }
    wnut = json.loads((tagger / "config.json").read_text())["id2label"]
    for seed, (name, (class_name, head, config)) in enumerate(recipes.items()):
        if not (out / name / "config.json").exists():
            labels = list(wnut.values()) if name == "tag-random" else LABELS.get(name)
            make_model(out / name, base, class_name, head, seed, labels, **config)


# ---------------------------------------------------------------- texts

class Data:
    """Texts of the data folder."""

    def __init__(self, root):
        self.root = root
        self.wiki = self.sentences("wiki_sentences_a.txt")
        self.news = self.sentences("wikinews_paragraphs.txt")
        self.sst2 = [row["sentence"] for row in self.rows("SST-2", "sentence")]

    def sentences(self, name):
        """Lines of 5 to 60 words."""
        text = (self.root / "pretrain" / name).read_text(encoding="utf-8")
        return [line for line in text.split("\n") if 5 <= len(line.split()) <= 60]

    def rows(self, task, *columns):
        """Rows of a GLUE dev.tsv, read without quoting."""
        head, *rest = (self.root / "glue" / task / "dev.tsv").read_text(encoding="utf-8-sig").split("\n")
        table = [dict(zip(head.split("\t"), line.split("\t"))) for line in rest]
        return [row for row in table if all(row.get(column) for column in columns)]

    def pairs(self):
        """Pairs of three tasks, mixed."""
        columns = {"MRPC": ("#1 String", "#2 String"), "QNLI": ("question", "sentence"), "RTE": ("sentence1", "sentence2")}
        made = [{"text": row[a], "pair": row[b]} for task, (a, b) in columns.items() for row in self.rows(task, a, b)[:220]]
        numbers("pairs").shuffle(made)
        return made

    def tagged(self):
        """Word lists of WNUT-17's dev set."""
        text = (self.root / "ner" / "wnut17" / "emerging.dev.conll").read_text(encoding="utf-8")
        parts = [[line.split("\t")[0] for line in part.split("\n") if line.strip()] for part in re.split(r"\n\s*\n", text)]
        return [part for part in parts if part]

    def questions(self, name):
        """(question, context) of a SQuAD file, in its order."""
        data = json.loads((self.root / "squad" / name).read_text(encoding="utf-8"))["data"]
        return [(question["question"], part["context"]) for article in data for part in article["paragraphs"]
                for question in part["qas"]]

    def readings(self):
        """(passage, question, choices) of RACE."""
        for path in sorted((self.root / "race" / "RACE_plus" / "dev" / "high").glob("*.txt")):
            data = json.loads(path.read_text(encoding="utf-8"))
            for question, choices in zip(data["questions"], data["options"]):
                yield data["article"], question, choices


def odd(text, source, every=6):
    """One text in `every` with accents, emoji, other scripts or odd spaces."""
    if source.randrange(every):
        return text
    words = text.split(" ")
    place = source.randrange(1, len(words)) if len(words) > 1 else 0
    kind = source.randrange(9)
    if kind == 0:
        return " " * source.randrange(1, 4) + text
    if kind == 1:
        return text + " " * source.randrange(1, 3)
    if kind == 2:
        return "  ".join([" ".join(words[:place]), " ".join(words[place:])])
    if kind == 3:
        return " ".join(words[:place] + [source.choice(EMOJI)] + words[place:])
    if kind == 4:
        return re.sub(r"\[M.SK\]", "[MASK]", text.translate(ACCENTS))
    if kind == 5:
        return " ".join(words[:place] + [source.choice(FOREIGN)] + words[place:])
    if kind == 6:
        return text.replace("e", "e\u0301", 2)
    if kind == 7:
        return text.replace(" ", "\u00a0", 1).replace(" ", "\t", 1)
    return text + source.choice(EMOJI)


def masked(text, count, source):
    """`count` random words replaced by [MASK]."""
    words = text.split(" ")
    for place in source.sample([i for i, word in enumerate(words) if word], count):
        words[place] = "[MASK]"
    return " ".join(words)


def texts(data, source, count, masks=0):
    """Sentences of two kinds, some of them odd."""
    chosen = source.sample(data.wiki, count - count // 4) + source.sample(data.news, count // 4)
    return [odd(masked(text, masks, source) if masks else text, source) for text in chosen]


def plain_inputs(items):
    """Inputs of one text each."""
    return [{"text": text} for text in items]


# ---------------------------------------------------------------- sets

def fill_mask_sets(models, data):
    base, source = models["base"], numbers("fill-mask")
    long = [" ".join(source.sample(data.wiki, 40)) for _ in range(10)]
    one = texts(data, source, 690, 1) + ["The [MASK] " + text for text in long]
    several = [text for count in (2, 3) for text in texts(data, source, 100, count)]
    yield Set("fill-mask", "one", base, ["fill-mask"], {"top_k": 5}, plain_inputs(one))
    yield Set("fill-mask", "several", base, ["fill-mask"], {"top_k": 5}, plain_inputs(several))
    targets = [
        (["river", "city", "king"], None), (["river", "sea", "Paris", "snark", "xyzzy", "antidisestablishmentarianism"], None),
        (["good", "bad", "▁great", "small", "large", "the", "a", "of"], 3), (["1999", "2014", "year", "▁year", "YEAR"], 8),
        (["München", "été", "naïve", "\U0001F600", "東京", "a"], None),
    ]
    for i, (words, top_k) in enumerate(targets):
        chosen = texts(data, source, 16, 1) + texts(data, source, 4, 2)
        top = {} if top_k is None else {"top_k": top_k}
        arguments = ["fill-mask", "--targets", ",".join(words)] + (["--top-k", str(top_k)] if top_k else [])
        yield Set("fill-mask", f"targets-{i}", base, arguments, {"targets": words, **top}, plain_inputs(chosen))


def classify_sets(models, data):
    source, pairs = numbers("classify"), data.pairs()
    every = {"top_k": None}
    long = [" ".join(source.sample(data.wiki, 40)) for _ in range(10)]

    def one(name, model, items, parameters=None, arguments=()):
        return Set("classify", name, models[model], ["classify", *arguments], parameters or {}, items)

    yield one("sst2", "sentiment", plain_inputs([odd(text, source) for text in data.sst2[:350]]))
    yield one("sst2-all", "sentiment", plain_inputs([odd(text, source) for text in data.sst2[350:500]]), every, ["--top-k", "all"])
    yield one("text", "sentiment", plain_inputs(texts(data, source, 40) + long))
    for name in ("sigmoid", "none", "softmax"):
        yield one(f"sst2-{name}", "sentiment", plain_inputs(texts(data, source, 30)), {**every, "function_to_apply": name},
                  ["--top-k", "all", "--apply", name])
    yield one("pair", "pair", pairs[:100])
    yield one("pair-all", "pair", pairs[100:190], every, ["--top-k", "all"])
    yield one("pair-two", "pair", pairs[190:210] + [{"text": text, "pair": long[0]} for text in long], {"top_k": 2}, ["--top-k", "2"])
    yield one("multi_label", "multi_label", plain_inputs(texts(data, source, 50)))
    yield one("multi_label-all", "multi_label", plain_inputs(texts(data, source, 50)), every, ["--top-k", "all"])
    yield one("regression", "regression", plain_inputs(texts(data, source, 20)) + pairs[210:230])


def zero_shot_sets(models, data):
    source = numbers("zero-shot")
    choices = [
        ["politics", "sport"], ["science", "history", "music"], ["very good", "very bad", "neither good nor bad", "café"],
        ["war", "peace", "art", "law", "food"], ["north", "south", "east", "west", "up", "down"],
    ]
    templates = [None, "This text is about {}.", "{}"]
    for model, sets in (("nli", 30), ("nli-first", 10), ("nli-unnamed", 10)):
        for i in range(sets):
            labels, template, multi = choices[i % 5], templates[i // 5 % 3], i % 2 == 1
            items = texts(data, source, 20)
            if i == 0:
                items[-2:] = [" ".join(source.sample(data.wiki, 40)) for _ in range(2)]
            arguments = ["classify", "--labels", ",".join(labels)] + ["--multi-label"] * multi
            parameters = {"candidate_labels": labels, "multi_label": multi}
            if template:
                arguments += ["--template", template]
                parameters["hypothesis_template"] = template
            yield Set("zero-shot", f"{model}-{i:02}", models[model], arguments, parameters, plain_inputs(items))


def tag_sets(models, data):
    source, words = numbers("tag"), data.tagged()
    for strategy in ("none", "simple", "first", "average", "max"):
        def one(name, model, items, parameters=None, arguments=()):
            return Set("tag", f"{strategy}-{name}", models[model], ["tag", "--aggregation", strategy, *arguments],
                       {"aggregation_strategy": strategy, **(parameters or {})}, items)

        def some(count):
            joined = [odd(" ".join(part), source) for part in source.sample(words, count // 2)]
            return plain_inputs(joined + texts(data, source, count - count // 2))

        def long(count):
            return plain_inputs([odd(" ".join(source.sample(data.wiki, 110)), source, 2) for _ in range(count)])

        yield one("trained", "tagger", some(65))
        yield one("random", "tag-random", some(50))
        yield one("everything", "tagger", some(20), {"ignore_labels": []}, ["--ignore-labels", ""])
        yield one("ignored", "tag-random", some(10), {"ignore_labels": ["O", "B-person", "person"]},
                  ["--ignore-labels", "O,B-person,person"])
        yield one("bare", "tag-bare", some(20))
        yield one("words", "tag-random", [{"words": part} for part in source.sample(words, 25)])
        if strategy == "none":
            yield one("cut", "tagger", long(10))
            continue
        yield one("stride", "tagger", long(4), {"stride": 64}, ["--stride", "64"])
        yield one("stride-random", "tag-random", long(4), {"stride": 16}, ["--stride", "16"])
        yield one("stride-0", "tag-bare", long(2), {"stride": 0}, ["--stride", "0"])


def answer_sets(models, data):
    source, model = numbers("answer"), models["answer"]
    pool = data.questions("xquad.en.json") + source.sample(data.questions("dev-v2.0.json"), 800)
    source.shuffle(pool)
    pool = iter(pool)

    def take(count, change=lambda question, context: (question, context)):
        made = (change(*next(pool)) for _ in range(count))
        return [{"question": question, "context": context} for question, context in made]

    def strange(question, context):
        return odd(question, source, 4), odd(context, source, 1)

    contexts = list(dict.fromkeys(context for _, context in data.questions("dev-v2.0.json")))

    def long(question, _):
        chosen = source.sample(contexts, 100)
        return question, " ".join(chosen)[:65000].rsplit(" ", 1)[0]

    def talkative(question, context):
        return " ".join([question] + source.sample(data.wiki, 4)), context

    def one(name, items, parameters=None, arguments=()):
        return Set("answer", name, model, ["answer", *arguments], parameters or {}, items)

    narrow = {"max_seq_len": 128}
    yield one("default", take(300))
    yield one("odd", take(100, strange))
    yield one("top-3", take(100), {"top_k": 3}, ["--top-k", "3"])
    yield one("top-20", take(20), {"top_k": 20}, ["--top-k", "20"])
    yield one("no-answer", take(60), {"handle_impossible_answer": True}, ["--no-answer"])
    yield one("no-answer-3", take(30), {"handle_impossible_answer": True, "top_k": 3}, ["--no-answer", "--top-k", "3"])
    yield one("no-align", take(40) + take(20, strange), {"align_to_words": False}, ["--no-align"])
    yield one("no-align-3", take(30), {"align_to_words": False, "top_k": 3}, ["--no-align", "--top-k", "3"])
    yield one("length-5", take(50), {"max_answer_len": 5}, ["--max-answer-tokens", "5"])
    yield one("length-30", take(50), {"max_answer_len": 30}, ["--max-answer-tokens", "30"])
    yield one("stride-32", take(60), {**narrow, "doc_stride": 32}, ["--max-tokens", "128", "--stride", "32"])
    yield one("stride-64", take(60), {**narrow, "doc_stride": 64, "top_k": 3},
              ["--max-tokens", "128", "--stride", "64", "--top-k", "3"])
    yield one("question-long", take(20, talkative), {"top_k": 2}, ["--top-k", "2", "--max-question-tokens", "384"])
    tokenizer = AutoTokenizer.from_pretrained(model)

    def cut(question, context):
        ends = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return question[: ends[min(len(ends), 8) - 1][1]], context

    whole = take(40)
    shown = [dict(zip(item, cut(*item.values()))) for item in whole]
    yield one("question-cut", shown, {}, ["--max-question-tokens", "8"]), whole
    yield one("long", take(30, long))
    yield one("long-3", take(10, long), {"top_k": 3, "handle_impossible_answer": True}, ["--top-k", "3", "--no-answer"])


def choose_sets(models, data):
    source = numbers("choose")
    whole = list(data.readings())
    parts = {"whole": whole[:200], "short": [(" ".join(text.split()[:60]), question, choices) for text, question, choices in whole],
             "few": [(odd(text[:400], source, 1), question, choices[:source.randrange(1, 4)]) for text, question, choices in whole[-352:]]}
    for name, items in parts.items():
        inputs = [{"text": text, "question": question, "choices": choices} for text, question, choices in items]
        yield Set("choose", name, models["choose"], ["choose"], {}, inputs)


def order_sets(models, data):
    source = numbers("order")
    places = source.sample(range(len(data.wiki) - 1), 500)
    forward = [{"text": odd(data.wiki[i], source), "pair": odd(data.wiki[i + 1], source)} for i in places]
    backward = [{"text": item["pair"], "pair": item["text"]} for item in forward]
    for name, items in (("forward", forward), ("backward", backward)):
        yield Set("sentence-order", name, models["base"], ["sentence-order"], {}, items)


def feature_sets(models, data):
    source = numbers("features")
    short = [text for text in data.wiki if len(text.split()) <= 9]
    items = plain_inputs([odd(text, source) for text in source.sample(short, 55)])
    yield Set("features", "last", models["base"], ["features"], {}, items[:50])
    yield Set("features", "all", models["base"], ["features", "--layers", "all"], {"layers": "all"}, items[50:])


def embed_sets(models, data):
    source = numbers("embed")
    for pooling in ("mean", "cls", "max", "pooler"):
        for normalize in (False, True):
            yield Set("embed", pooling + "-normalized" * normalize, models["base"],
                      ["embed", "--pooling", pooling] + ["--normalize"] * normalize,
                      {"pooling": pooling, "normalize": normalize}, plain_inputs(texts(data, source, 125)))


TASKS = {"fill-mask": fill_mask_sets, "classify": classify_sets, "tag": tag_sets, "answer": answer_sets,
         "zero-shot": zero_shot_sets, "choose": choose_sets, "sentence-order": order_sets, "features": feature_sets,
         "embed": embed_sets}


# ---------------------------------------------------------------- the program

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--sets", default="", help="only these sets of the tasks")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--heads", type=pathlib.Path, help="folder of the models with random heads; default OUT/models")
    options = parser.parse_args()
    logging.set_verbosity_error()
    trained = {"base": "albert-tiny-en", "sentiment": "albert-tiny-en-sst2", "tagger": "albert-tiny-en-wnut17"}
    models = {name: options.models / folder for name, folder in trained.items()}
    heads = options.heads or options.out / "models"
    make_models(heads, models["base"], models["tagger"])
    models |= {path.name: path for path in heads.iterdir() if not path.name.startswith("st")}
    data = Data(options.data)
    for task in options.tasks.split(","):
        if task == "answer" and transformers.__version__ >= "5":
            print("answer: skipped, transformers 5 has no such pipeline")
            continue
        engines, start, count = {}, time.time(), 0
        for one in TASKS[task](models, data):
            one, shown = one if isinstance(one, tuple) else (one, None)
            if options.sets and one.name not in options.sets.split(","):
                continue
            if one.model not in engines:
                engines = {one.model: pipelines.Engine(task, one.model, getattr(torch, options.dtype))}
            pipelines.write(one, options.out, engines[one.model], 6 if task == "features" else None)
            if shown:  # the program reads the whole questions
                pipelines.lines(options.out / task / f"{one.name}.input.jsonl", shown)
            count += len(one.inputs)
        print(f"{task}: {count} inputs, {time.time() - start:.0f} s, transformers {transformers.__version__}", flush=True)


if __name__ == "__main__":
    main()
