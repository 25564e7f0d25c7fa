"""What transformers' pipelines answer, one set of inputs at a time. Shared by pipelines_reference.py and make_pipeline_fixtures.py.

A set is one run of our program: one task, one model, one list of parameters, many inputs. It becomes four files,
FOLDER/TASK/NAME.*:
  input.jsonl     the columns that the program reads: text, pair; words; question, context; choices
  args.json       the program's arguments without --model and --input, the verb first
  model.txt       the model's folder, relative to FOLDER where it lies inside or beside it
  expected.jsonl  {"input", "parameters", "version", "output"} for each input; the output is transformers' own

A pipeline is called with one input at a time. What transformers gives a single input is kept as it is, but for
is_split_into_words, whose list of one is opened. Tasks without a pipeline:
  choose          softmax of AlbertForMultipleChoice: the text as first sequence, question, a blank and the choice as second
                  (the choice alone where there is no question), the first one truncated; {"choice", "scores"}
  sentence-order  softmax of sop_logits of AlbertForPreTraining: [P(in order), P(swapped)]
  features        the feature-extraction pipeline; with "layers": "all" every hidden state, the embeddings first
  embed           as sentence-transformers pools: mean over the attention mask, maximum, [CLS]; the pooler; L2 norm
Texts are cut to max_position_embeddings tokens, longest first in a pair: tokenizer_config.json names no length, so the
tokenizer's model_max_length is set to that number.
"""
import dataclasses
import json
import os
import pathlib
import warnings

import torch
import transformers
from transformers import AutoTokenizer

CLASSES = {
    "fill-mask": "AlbertForMaskedLM", "classify": "AlbertForSequenceClassification", "zero-shot": "AlbertForSequenceClassification",
    "tag": "AlbertForTokenClassification", "answer": "AlbertForQuestionAnswering", "choose": "AlbertForMultipleChoice",
    "sentence-order": "AlbertForPreTraining", "features": "AlbertModel", "embed": "AlbertModel",
}
PIPELINES = {
    "fill-mask": "fill-mask", "classify": "text-classification", "zero-shot": "zero-shot-classification",
    "tag": "token-classification", "answer": "question-answering", "features": "feature-extraction",
}
TOKENIZER_FILES = ("spiece.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
LINE = dict(ensure_ascii=False, separators=(",", ":"))


@dataclasses.dataclass
class Set:
    """One run of the program. `arguments` and `parameters` say the same, to the program and to transformers."""
    task: str
    name: str
    model: pathlib.Path
    arguments: list
    parameters: dict
    inputs: list


class Engine:
    """One model with its tokenizer, for one task."""

    def __init__(self, task, folder, dtype=torch.float32):
        self.task = task
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = getattr(transformers, CLASSES[task]).from_pretrained(folder).to(dtype).eval()
        self.limit = self.model.config.max_position_embeddings
        self.tokenizer.model_max_length = min(self.tokenizer.model_max_length, self.limit)
        self.pipeline = None
        if task in PIPELINES:
            self.pipeline = transformers.pipeline(PIPELINES[task], model=self.model, tokenizer=self.tokenizer, device="cpu")

    @torch.no_grad()
    def run(self, item, parameters):
        """The output for one input."""
        return plain(getattr(self, self.task.replace("-", "_"))(item, **parameters))

    def fill_mask(self, item, **parameters):
        return self.pipeline(item["text"], tokenizer_kwargs={"truncation": True}, **parameters)

    def classify(self, item, **parameters):
        text = {"text": item["text"], "text_pair": item["pair"]} if "pair" in item else item["text"]
        return self.pipeline(text, truncation=True, **parameters)

    def zero_shot(self, item, **parameters):
        return self.pipeline(item["text"], **parameters)

    def tag(self, item, **parameters):
        if "words" not in item:
            return self.pipeline(item["text"], **parameters)
        return self.pipeline(item["words"], is_split_into_words=True, **parameters)[0]

    def answer(self, item, **parameters):
        return self.pipeline(question=item["question"], context=item["context"], **parameters)

    def choose(self, item):
        seconds = [f"{item['question']} {choice}" if "question" in item else choice for choice in item["choices"]]
        made = self.tokenizer([item["text"]] * len(seconds), seconds, truncation="only_first", padding=True, return_tensors="pt")
        scores = self.model(**{name: tensor[None] for name, tensor in made.items()}).logits[0].softmax(-1)
        return {"choice": scores.argmax(), "scores": scores}

    def sentence_order(self, item):
        made = self.tokenizer(item["text"], item["pair"], truncation=True, return_tensors="pt")
        return self.model(**made).sop_logits[0].softmax(-1)

    def features(self, item, layers="last"):
        if layers == "last":
            return self.pipeline(item["text"], truncation=True)
        made = self.tokenizer(item["text"], truncation=True, return_tensors="pt")
        return [states[0] for states in self.model(**made, output_hidden_states=True).hidden_states]

    def embed(self, item, pooling="mean", normalize=False):
        made = self.tokenizer(item["text"], truncation=True, return_tensors="pt")
        output = self.model(**made)
        states = output.last_hidden_state[0]
        vector = {"mean": states.mean(0), "cls": states[0], "max": states.max(0).values, "pooler": output.pooler_output[0]}[pooling]
        return torch.nn.functional.normalize(vector, dim=0) if normalize else vector


def plain(value):
    """Python's own lists and numbers in place of tensors and numpy's."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value


def rounded(value, digits):
    """Numbers of a nested list with so many digits after the point."""
    return [rounded(part, digits) for part in value] if isinstance(value, list) else round(value, digits)


def write(one, folder, engine, digits=None):
    """The four files of a set. `digits` rounds the numbers of lists without names: features and vectors."""
    place = folder / one.task
    place.mkdir(parents=True, exist_ok=True)
    near = one.model.is_relative_to(folder.parent)
    model = pathlib.Path(os.path.relpath(one.model, folder)) if near else one.model
    (place / f"{one.name}.args.json").write_text(json.dumps(one.arguments, ensure_ascii=False) + "\n", encoding="utf-8")
    (place / f"{one.name}.model.txt").write_text(f"{model.as_posix()}\n")
    lines(place / f"{one.name}.input.jsonl", one.inputs)
    expected = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for item in one.inputs:
            output = engine.run(item, one.parameters)
            expected.append({"input": item, "parameters": one.parameters, "version": transformers.__version__,
                             "output": rounded(output, digits) if digits and isinstance(output, list) else output})
    lines(place / f"{one.name}.expected.jsonl", expected)


def lines(path, items):
    """One JSON value a line, all of them at once: a reader never sees half a file."""
    draft = path.with_suffix(".draft")
    draft.write_text("".join(json.dumps(item, **LINE) + "\n" for item in items), encoding="utf-8")
    draft.replace(path)
