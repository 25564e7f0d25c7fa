"""Fine-tunes with PyTorch transformers on the data and with the settings of `albert finetune`, for docs/results.md.

Usage: python finetune_peers.py TASK MODEL DATA [--seeds 5] [--epochs 3] [--rate 5e-5] [--batch 32] [--length 128] [--train N] [--threads 1]
TASK: cola, mrpc, rte, stsb, sst2 (DATA: the folder of GLUE), tagging (DATA: train.conll,dev.conll) or squad (DATA:
train.json). Prints one JSON line for each seed: metric on the development data after the last step, seconds of training,
mean loss. A model of squad is saved as SAVE-SEED instead, for `albert evaluate squad2`; its windows are those of run_qa.py,
--length with a stride of 128.

AdamW with bias correction, linear decay without warm-up, clipping at 1, no weight decay, dropout of the classifier 0.1: the
defaults of `albert finetune`. Needs torch, transformers 5, scipy, scikit-learn, seqeval.
"""
import argparse
import json
import pathlib
import statistics
import time

import torch
from transformers import (AlbertForQuestionAnswering, AlbertForSequenceClassification, AlbertForTokenClassification, AutoTokenizer,
                          get_linear_schedule_with_warmup, logging)

logging.set_verbosity_error()
COLUMNS = {"cola": ("CoLA", False, 3, None, 1), "mrpc": ("MRPC", True, 3, 4, 0), "rte": ("RTE", True, 1, 2, -1),
           "stsb": ("STS-B", True, 7, 8, -1), "sst2": ("SST-2", True, 0, None, 1)}


def glue(task, data, split):
    folder, header, first, second, label = COLUMNS[task]
    text = (pathlib.Path(data) / folder / f"{split}.tsv").read_text(encoding="utf-8-sig")
    rows = [line.split("\t") for line in text.split("\n")[header:] if line]
    texts = [(r[first],) if second is None else (r[first], r[second]) for r in rows]
    names = {"rte": ["entailment", "not_entailment"]}.get(task)
    value = float if task == "stsb" else (names.index if names else int)
    return texts, [value(r[label]) for r in rows]


def conll(path):
    sentences, words, tags = [], [], []
    for line in pathlib.Path(path).read_text(encoding="utf-8").split("\n") + [""]:
        if not line.strip():
            if words:
                sentences.append((words, tags))
            words, tags = [], []
        else:
            word, tag = line.split("\t")[0], line.split("\t")[-1].strip()
            words.append(word), tags.append(tag)
    return sentences


def windows(tokenizer, path, length):
    """(ids, token types, (start, end)) of each window; 0 and 0 where it does not hold the answer whole."""
    entries = [(p["context"], q) for a in json.loads(pathlib.Path(path).read_text())["data"] for p in a["paragraphs"] for q in p["qas"]]
    tokens = tokenizer([q["question"].lstrip() for _, q in entries], [c for c, _ in entries], truncation="only_second", max_length=length,
                       stride=128, return_overflowing_tokens=True, return_offsets_mapping=True, return_token_type_ids=True)
    rows = []
    for i, sample in enumerate(tokens["overflow_to_sample_mapping"]):
        question, span = entries[sample][1], (0, 0)
        inside = [k for k, s in enumerate(tokens.sequence_ids(i)) if s == 1]
        offsets = tokens["offset_mapping"][i]
        if question["answers"]:
            first = question["answers"][0]["answer_start"]
            last = first + len(question["answers"][0]["text"])
            if offsets[inside[0]][0] <= first and offsets[inside[-1]][1] >= last:
                span = (max(k for k in inside if offsets[k][0] <= first), min(k for k in inside if offsets[k][1] >= last))
        rows.append((tokens["input_ids"][i], tokens["token_type_ids"][i], span))
    return rows


def metric(task, predicted, labels):
    if task == "cola":
        from sklearn.metrics import matthews_corrcoef
        return matthews_corrcoef(labels, predicted)
    if task == "stsb":
        from scipy.stats import pearsonr, spearmanr
        return (pearsonr(predicted, labels)[0] + spearmanr(predicted, labels)[0]) / 2
    accuracy = sum(p == y for p, y in zip(predicted, labels)) / len(labels)
    if task == "mrpc":
        from sklearn.metrics import f1_score
        return (accuracy + f1_score(labels, predicted)) / 2
    return accuracy


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("task"), parser.add_argument("model"), parser.add_argument("data")
    for name, default in dict(seeds=5, epochs=3, batch=32, length=128, train=10**9, threads=1).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--save", default="squad")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    tokenizer = AutoTokenizer.from_pretrained(a.model)
    if a.task == "tagging":
        train, dev = (conll(path) for path in a.data.split(","))
        names = sorted({tag for _, tags in train + dev for tag in tags})
        encoded = {}
        for name, sentences in (("train", train), ("dev", dev)):
            rows = []
            for words, tags in sentences:
                ids, labels, seen = [tokenizer.cls_token_id], [-100], []
                for word, tag in zip(words, tags):
                    pieces = tokenizer.encode(word, add_special_tokens=False)
                    seen.append(bool(pieces))  # a word without pieces has no label, and is predicted to be O
                    ids += pieces
                    labels += [names.index(tag)] + [-100] * (len(pieces) - 1) if pieces else []
                rows.append((ids + [tokenizer.sep_token_id], labels + [-100], tags, seen))
            encoded[name] = rows
    elif a.task == "squad":
        encoded = {"train": windows(tokenizer, a.data, a.length), "dev": []}
    else:
        encoded = {}
        for split in ("train", "dev"):
            texts, labels = glue(a.task, a.data, split)
            tokens = tokenizer(*[list(t) for t in zip(*texts)], truncation=True, max_length=a.length, return_token_type_ids=True)
            encoded[split] = list(zip(tokens["input_ids"], tokens["token_type_ids"], labels))
    encoded["train"] = encoded["train"][:a.train]

    def batch(rows):
        longest = max(len(r[0]) for r in rows)
        pad = lambda xs, value: torch.tensor([x + [value] * (longest - len(x)) for x in xs])
        inputs = {"input_ids": pad([r[0] for r in rows], 0), "attention_mask": pad([[1] * len(r[0]) for r in rows], 0)}
        if a.task == "tagging":
            return inputs, pad([r[1] for r in rows], -100)
        inputs["token_type_ids"] = pad([r[1] for r in rows], 0)
        if a.task == "squad":
            return inputs, [torch.tensor([r[2][side] for r in rows]) for side in (0, 1)]
        return inputs, torch.tensor([r[2] for r in rows])

    values = []
    for seed in range(a.seeds):
        torch.manual_seed(seed)
        cls = {"tagging": AlbertForTokenClassification, "squad": AlbertForQuestionAnswering}.get(a.task, AlbertForSequenceClassification)
        labels = len(names) if a.task == "tagging" else 1 if a.task == "stsb" else 2
        model = cls.from_pretrained(a.model, num_labels=labels).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=a.rate, weight_decay=0.0)
        data, start, sum_loss = encoded["train"], time.perf_counter(), 0.0
        per_epoch = -(-len(data) // a.batch)
        schedule = get_linear_schedule_with_warmup(optimizer, 0, per_epoch * a.epochs)
        for _ in range(a.epochs):
            order = torch.randperm(len(data)).tolist()
            for i in range(0, len(data), a.batch):
                inputs, y = batch([data[j] for j in order[i:i + a.batch]])
                given = {"start_positions": y[0], "end_positions": y[1]} if a.task == "squad" else {"labels": y}
                loss = model(**inputs, **given).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step(), schedule.step(), optimizer.zero_grad()
                sum_loss += loss.item()
        seconds = time.perf_counter() - start
        model.eval()
        found = []
        if a.task == "squad":
            model.save_pretrained(f"{a.save}-{seed}"), tokenizer.save_pretrained(f"{a.save}-{seed}")
        with torch.no_grad():
            for i in range(0, len(encoded["dev"]), 64):
                rows = encoded["dev"][i:i + 64]
                inputs, y = batch(rows)
                logits = model(**inputs).logits
                if a.task == "tagging":
                    for row, best, labels_of in zip(rows, logits.argmax(-1).tolist(), y.tolist()):
                        tags = iter(names[b] for b, label in zip(best, labels_of) if label != -100)
                        found.append([next(tags) if seen else "O" for seen in row[3]])
                else:
                    found += logits[:, 0].tolist() if a.task == "stsb" else logits.argmax(-1).tolist()
        if a.task == "tagging":
            from seqeval.metrics import f1_score
            value = f1_score([r[2] for r in encoded["dev"]], found)
        elif a.task == "squad":
            value = float("nan")
        else:
            value = metric(a.task, found, [r[2] for r in encoded["dev"]])
        values.append(value)
        print(json.dumps({"task": a.task, "seed": seed, "metric": value, "seconds": seconds, "train_loss": sum_loss / (per_epoch * a.epochs)}), flush=True)
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    print(json.dumps({"task": a.task, "median": statistics.median(values), "deviation": deviation}))


if __name__ == "__main__":
    main()
