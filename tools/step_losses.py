"""The losses of ten steps of `albert finetune` beside PyTorch's: the same start, the same 32 examples in every step, no dropout.

Usage: python step_losses.py ALBERT MODEL GLUE RACE [TASK …]      ALBERT: the program; GLUE: folder with WNLI, QNLI, MNLI, RTE, CoLA, …;
RACE: folder with dev/high. Development files stand in for training files that are not there. Needs torch, transformers 5.
Prints the largest relative difference for each task, and the losses.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
from transformers import AlbertForMultipleChoice, AlbertForSequenceClassification, AutoTokenizer, logging

logging.set_verbosity_error()
N, STEPS, RATE, LENGTH = 32, 10, 1e-4, 192
# folder, development file, header, columns of the texts and the label, labels in order
TASKS = {
    "wnli": ("WNLI", "dev", True, (1, 2), -1, ["0", "1"]),
    "qnli": ("QNLI", "dev", True, (1, 2), -1, ["entailment", "not_entailment"]),
    "mnli": ("MNLI", "dev_matched", True, (8, 9), -1, ["contradiction", "entailment", "neutral"]),
    "rte": ("RTE", "dev", True, (1, 2), -1, ["entailment", "not_entailment"]),
    "cola": ("CoLA", "dev", False, (3,), 1, ["0", "1"]),
    "sst2": ("SST-2", "dev", True, (0,), 1, ["0", "1"]),
    "mrpc": ("MRPC", "dev", True, (3, 4), 0, ["0", "1"]),
    "stsb": ("STS-B", "dev", True, (7, 8), -1, None),
}


def ours(albert, task, start, folder, extra):
    output = folder / "out"
    command = [albert, "finetune", task, "--model", start, "--output", output, "--max-train-samples", N, "--batch-size", N,
               "--max-steps", STEPS, "--learning-rate", RATE, "--dropout", 0, "--classifier-dropout", 0, "--log-steps", 1,
               "--eval", "no", "--save", "steps", "--save-steps", STEPS, "--max-seq-length", LENGTH, "-q", *extra]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    history = json.loads((output / f"checkpoint-{STEPS}" / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


def theirs(model, parts):
    """`parts`: inputs and labels; the loss is the mean over the labels of all."""
    model.eval()  # no dropout
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        optimizer.zero_grad()
        total = sum(len(labels) for _, labels in parts)
        loss = sum(model(**inputs, labels=labels).loss * len(labels) / total for inputs, labels in parts)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def by_number(path):
    """Numbered files by their numbers, then the others by name, as `albert finetune race` reads them."""
    return (int(path.stem) if path.stem.isdecimal() else 2**64, path.stem)


def report(task, a, b):
    worst = max(abs(x - y) / abs(y) for x, y in zip(a, b, strict=True))
    print(f"{task:6} largest relative difference {worst:.1e}   ours {' '.join(f'{x:.5f}' for x in a)}   PyTorch {b[0]:.5f} … {b[-1]:.5f}", flush=True)


def main():
    albert, model, data, race = (pathlib.Path(p) for p in sys.argv[1:5])
    wanted = sys.argv[5:] or [*TASKS, "race"]
    tokenizer = AutoTokenizer.from_pretrained(model)
    for task, (name, file, header, columns, label, names) in TASKS.items():
        if task not in wanted:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            (scratch / name).mkdir()
            # Blanks at the ends of cells are tokens in some versions of the tokenizer and none in others.
            text = "\n".join("\t".join(cell.strip(" ") for cell in line.split("\t"))
                             for line in (data / name / f"{file}.tsv").read_text(encoding="utf-8-sig").split("\n"))
            (scratch / name / "train.tsv").write_text(text)
            for split in ("dev", "dev_matched", "dev_mismatched"):
                shutil.copy(data / name / f"{file}.tsv", scratch / name / f"{split}.tsv")
            torch.manual_seed(1)
            made = AlbertForSequenceClassification.from_pretrained(model, num_labels=1 if names is None else len(names))
            made.save_pretrained(scratch / "start"), tokenizer.save_pretrained(scratch / "start")
            for f in ("spiece.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
                shutil.copy(model / f, scratch / "start" / f)
            a = ours(albert, task, scratch / "start", scratch, ["--data", scratch])
            rows = [r.split("\t") for r in text.split("\n")[header:]][:N]
            inputs = tokenizer(*[[r[c] for r in rows] for c in columns], padding=True, truncation=True, max_length=LENGTH,
                               return_token_type_ids=True, return_tensors="pt")
            labels = torch.tensor([float(r[label]) if names is None else names.index(r[label]) for r in rows])
            report(task, a, theirs(made, [(inputs, labels)]))
    if "race" not in wanted:
        return
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        torch.manual_seed(1)
        made = AlbertForMultipleChoice.from_pretrained(model)
        made.save_pretrained(scratch / "start")
        for f in ("spiece.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            shutil.copy(model / f, scratch / "start" / f)
        shutil.copytree(race / "dev", scratch / "train", dirs_exist_ok=True)
        questions = []
        for level in ("middle", "high"):
            for path in sorted((race / "dev" / level).glob("*.txt"), key=by_number) if (race / "dev" / level).is_dir() else []:
                passage = json.loads(path.read_text())
                for q, options, answer in zip(passage["questions"], passage["options"], passage["answers"]):
                    whole = [q.replace("_", o) if "_" in q else q + " " + o for o in options]
                    questions.append((passage["article"], whole, "ABCD".index(answer)))
        questions = questions[:N]
        a = ours(albert, "race", scratch / "start", scratch, ["--data", scratch])
        parts = []
        for k in sorted({len(options) for _, options, _ in questions}):
            some = [q for q in questions if len(q[1]) == k]
            encoded = []
            for article, whole, _ in some:
                body = tokenizer.encode(article, add_special_tokens=False)
                for option in whole:
                    tail = tokenizer.encode(option, add_special_tokens=False)[-(LENGTH // 3):]
                    head = body[:LENGTH - 3 - len(tail)]
                    encoded.append(([2] + head + [3] + tail + [3], [0] * (len(head) + 2) + [1] * (len(tail) + 1)))
            longest = max(len(e[0]) for e in encoded)
            tensor = lambda xs: torch.tensor([x + [0] * (longest - len(x)) for x in xs]).view(len(some), k, -1)
            inputs = {"input_ids": tensor([e[0] for e in encoded]), "token_type_ids": tensor([e[1] for e in encoded]),
                      "attention_mask": tensor([[1] * len(e[0]) for e in encoded])}
            parts.append((inputs, torch.tensor([q[2] for q in some])))
        report("race", a, theirs(made, parts))


if __name__ == "__main__":
    main()
