"""The losses of `albert pretrain` beside transformers': the same new weights, samples and masks in every step, no dropout.

Usage: python pretrain_losses.py ALBERT TOKENIZER TEXT [--steps 100] [--batch 32] [--length 64] [--threads 2] [--json FILE]
       python pretrain_losses.py ALBERT TOKENIZER TEXT --speed PLOT.svg [--steps 400]
ALBERT: the program; TOKENIZER: a folder with spiece.model and tokenizer.json; TEXT: a sentence on each line, an empty line
between documents. PyTorch trains twice, in f32 and in f64. Prints, of every tenth step, the f64 loss and how far both f32 runs
are from it, then the largest distances and the seconds of each run. Needs torch, transformers 5, tensorboard, protobuf.
With --speed PyTorch trains once, in f32 and with logits at the labelled places alone, as we do; the plot has the loss of either
over the seconds of training, and what is printed compares them.

AdamW with bias correction, 1e-3 after a tenth of the steps and falling to 0, weight decay 0.01 on matrices and vectors but
biases and layer norms, gradients clipped at 1. The samples are what `--tfrecords` writes: those of the same run, in its order.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

import torch
from make_records_golden import Example, records
from paper import plot
from transformers import AlbertConfig, AlbertForPreTraining, logging

logging.set_verbosity_error()
RATE, DECAY = 1e-3, 0.01
SHAPE = dict(embedding_size=128, hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512, hidden_act="gelu_new",
             hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout_prob=0.0, max_position_embeddings=128)


def batches(path, a):
    """Ids, mask, types, labels of tokens (−100: none) and of the order, of each step."""
    rows = []
    for body in records(path.read_bytes()):
        feature = Example.FromString(body).features.feature
        value = lambda name: list(feature[name].int64_list.value)
        labels = [-100] * a.length
        weights = feature["masked_lm_weights"].float_list.value
        for place, token, weight in zip(value("masked_lm_positions"), value("masked_lm_ids"), weights):
            if weight:
                labels[place] = token
        rows.append((value("input_ids"), value("input_mask"), value("segment_ids"), labels, value("next_sentence_labels")[0]))
        if len(rows) == a.steps * a.batch:
            break
    assert len(rows) == a.steps * a.batch, f"{len(rows)} samples, {a.steps * a.batch} wanted: more text, or fewer steps"
    for start in range(0, len(rows), a.batch):
        yield [torch.tensor(column) for column in zip(*rows[start:start + a.batch])]


def theirs(start, data, dtype, a, labelled=False):
    """Losses, and seconds, of PyTorch. `labelled`: the vocabulary's logits at the labelled places alone."""
    entropy = torch.nn.functional.cross_entropy
    model = AlbertForPreTraining.from_pretrained(start).to(dtype).train()
    plain = lambda name: "bias" in name or "layer_norm" in name.lower() or "layernorm" in name.lower()
    parameters = [(name, p) for name, p in model.named_parameters()]
    optimizer = torch.optim.AdamW([{"params": [p for name, p in parameters if plain(name)], "weight_decay": 0.0},
                                   {"params": [p for name, p in parameters if not plain(name)], "weight_decay": DECAY}], lr=RATE)
    losses, begin, warmup = [], time.perf_counter(), a.steps // 10
    for step, (ids, mask, types, labels, order) in enumerate(data):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (step / warmup if step < warmup else (a.steps - step) / (a.steps - warmup))
        if labelled:
            body = model.albert(input_ids=ids, attention_mask=mask, token_type_ids=types)
            words = model.predictions(body.last_hidden_state[labels != -100])
            loss = entropy(words, labels[labels != -100]) + entropy(model.sop_classifier(body.pooler_output), order)
        else:
            loss = model(input_ids=ids, attention_mask=mask, token_type_ids=types, labels=labels, sentence_order_label=order).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses, time.perf_counter() - begin


def speed(ours, single, seconds, a):
    """Prints when either had which loss (a mean over ten steps), and plots it."""
    curves = {}
    for name, losses in (("albert", ours), ("PyTorch", single)):
        each = seconds[name] / len(losses)
        curves[name] = [(step * each, sum(losses[step - 10:step]) / 10) for step in range(10, len(losses) + 1, 10)]
    for i in range(4, len(ours) // 10, 5):
        (first, loss), (second, other) = curves["albert"][i], curves["PyTorch"][i]
        print(f"step {10 * i + 10:4}: albert {loss:.3f} after {first:.1f} s, PyTorch {other:.3f} after {second:.1f} s")
    print(f"a step: albert {seconds['albert'] / len(ours) * 1e3:.0f} ms, PyTorch {seconds['PyTorch'] / len(single) * 1e3:.0f} ms")
    plot(curves, a.speed, "seconds of training", "loss of the samples, a mean over ten steps")


def main():
    parser = argparse.ArgumentParser()
    for name in ("albert", "tokenizer", "text"):
        parser.add_argument(name, type=pathlib.Path)
    for name, default in dict(steps=100, batch=32, length=64, threads=2).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--speed", type=pathlib.Path)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        start, out = scratch / "start", scratch / "out"
        pieces = len(json.loads((a.tokenizer / "tokenizer.json").read_text())["model"]["vocab"])
        AlbertForPreTraining(AlbertConfig(vocab_size=pieces, **SHAPE)).save_pretrained(start)
        for file in ("spiece.model", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(a.tokenizer / file, start / file)
        common = [a.albert, "pretrain", a.text, "--max-seq-length", a.length, "--held-out", 0, "--cache", scratch / "tokens", "-q"]
        run = lambda *more: subprocess.run([str(word) for word in [*common, *more]], check=True, stdout=subprocess.DEVNULL)
        run("--model", start, "-o", scratch / "records", "--prepare-only", "--tfrecords", 1, "--dupe-factor", 1)
        data = list(batches(next((scratch / "records").glob("*.tfrecord*")), a))
        begin = time.perf_counter()
        run("--model", start, "-o", out, "--batch-size", a.batch, "--max-steps", a.steps, "--learning-rate", RATE, "--optimizer", "adamw",
            "--weight-decay", DECAY, "--schedule", "linear", "--warmup-steps", a.steps // 10, "--max-grad-norm", 1, "--dropout", 0,
            "--log-steps", 1, "--save-steps", a.steps, "--threads", a.threads)
        seconds = {"albert": time.perf_counter() - begin}
        history = json.loads(next(out.glob("checkpoint-*/trainer_state.json")).read_text())["log_history"]
        ours = [entry["loss"] for entry in history if "loss" in entry]
        if a.speed:
            seconds = {"albert": json.loads((out / "train_results.json").read_text())["train_runtime"]}
            single, seconds["PyTorch"] = theirs(start, data, torch.float32, a, labelled=True)
            speed(ours, single, seconds, a)
            return
        single, seconds["PyTorch f32"] = theirs(start, data, torch.float32, a)
        double, seconds["PyTorch f64"] = theirs(start, data, torch.float64, a)
    assert len(ours) == len(double), f"{len(ours)} losses of {len(double)} steps"
    far = {name: [abs(x - y) for x, y in zip(losses, double)] for name, losses in (("albert", ours), ("PyTorch f32", single))}
    print("step   f64 loss     albert     PyTorch f32")
    for step in [0, *range(9, a.steps, 10)]:
        print(f"{step + 1:4}   {double[step]:.6f}   {far['albert'][step]:.2e}   {far['PyTorch f32'][step]:.2e}")
    for name, distances in far.items():
        print(f"{name}: largest distance {max(distances):.2e}, mean {sum(distances) / len(distances):.2e}, {seconds[name]:.1f} s")
    if a.json:
        a.json.write_text(json.dumps({"albert": ours, "PyTorch f32": single, "PyTorch f64": double, "seconds": seconds}))


if __name__ == "__main__":
    main()
