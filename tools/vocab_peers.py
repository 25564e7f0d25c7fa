"""Compares `albert vocab train` with `spm_train` and with the tokenizers library, on the same text.

Usage: python vocab_peers.py [--fast] ALBERT SIZES UNSEEN FILE…

ALBERT is the program, SIZES vocabulary sizes with commas between them, UNSEEN a text to measure on, FILE… what is learned
from. Needs sentencepiece, and without --fast the tokenizers library, which takes minutes. Prints tokens per word, nats per
character, seconds and peak memory; each trainer runs in a process of its own. spm_train gets the lines prepared, its time is
that of training alone; ours includes reading and preparing them.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import sentencepiece

from vocab_measure import CONTROL, USER, measure, rates, read, train


def with_tokenizers(lines, size, out):
    """The library's Unigram trainer, with the nearest settings that it has."""
    import tokenizers
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=["<pad>", "<unk>", *CONTROL, *USER], unk_token="<unk>",
                                      max_piece_length=16, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.save(out)


def measured_with_tokenizers(path, lines):
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(path)
    vocab = json.load(open(path))["model"]["vocab"]
    scores = [score for _, score in vocab]
    unknown = min(scores) - 10
    total = dict(tokens=0, unknown=0, words=0, characters=0, log_likelihood=0.0)
    for line in lines:
        encoding = tokenizer.encode(line, add_special_tokens=False)
        total["tokens"] += len(encoding.ids)
        total["words"] += len(line.split())
        for i, token in zip(encoding.ids, encoding.tokens):
            total["characters"] += len(token)
            if i == 1:
                total["unknown"] += 1
                total["log_likelihood"] += unknown * len(token)
            elif token not in USER:
                total["log_likelihood"] += scores[i]
    return total


def child(kind, size, out, files):
    lines = [line for file in files for line in read(file)]
    start = time.perf_counter()
    if kind == "spm":
        train(lines, size, out, threads=2)
    else:
        with_tokenizers(lines, size, out)
    print(json.dumps(dict(seconds=time.perf_counter() - start)))


def peak(command):
    """stdout, seconds and peak memory in MB of a command, or None and the end of its messages."""
    script = ("import resource, subprocess, sys, json, time; start = time.perf_counter(); "
              "run = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE); "
              "print(json.dumps([run.returncode, run.stdout.decode(), run.stderr.decode()[-400:], time.perf_counter() - start, "
              "resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))")
    result = subprocess.run([sys.executable, "-c", script, *command], stdout=subprocess.PIPE, check=True)
    code, out, err, seconds, memory = json.loads(result.stdout)
    return (None, err, memory) if code else (out, seconds, memory)


def main():
    if sys.argv[1] == "--child":
        return child(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5:])
    kinds = ("spm",) if sys.argv[1] == "--fast" else ("spm", "tokenizers")
    albert, sizes, unseen_file, *files = sys.argv[3 - len(kinds):]
    unseen = read(unseen_file)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for size in map(int, sizes.split(",")):
            ours = folder / f"ours-{size}"
            _, seconds, memory = peak([albert, "vocab", "train", *files, "--output", str(ours), "--vocab-size", str(size)])
            rows = []
            if ours.exists():
                model = sentencepiece.SentencePieceProcessor(model_file=str(ours / "spiece.model"))
                rows.append(("albert", rates(measure(model, unseen)), seconds, memory))
            else:
                print("albert", size, seconds)
            for kind in kinds:
                target = folder / f"{kind}-{size}"
                out, seconds, memory = peak([sys.executable, __file__, "--child", kind, str(size), str(target), *files])
                if out is None:
                    print(kind, size, "failed:", seconds)
                    continue
                if kind == "spm":
                    model = sentencepiece.SentencePieceProcessor(model_file=f"{target}.model")
                    total = measure(model, unseen)
                else:
                    total = measured_with_tokenizers(str(target), unseen)
                rows.append((kind, rates(total), json.loads(out)["seconds"], memory))
            for name, rate, seconds, memory in rows:
                print(f"{size:6} {name:10} {rate['tokens_per_word']:.4f} tokens/word {rate['nats_per_character']:.4f} "
                      f"nats/character {seconds:7.1f} s {memory:6.0f} MB", flush=True)


if __name__ == "__main__":
    main()
