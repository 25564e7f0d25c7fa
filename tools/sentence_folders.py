"""Writes folders as sentence-transformers saves them, and the vectors that it makes of some texts.

Usage: python sentence_folders.py OUT --model DIR --texts FILE [--variants a,b]      FILE: one text a line

For each variant OUT/models/st5-NAME or st6-NAME (the major version of sentence-transformers, whose layouts differ) and a set
in OUT/embed, as pipelines.py lays out; the version of a line is that of sentence-transformers. Numbers have 7 digits.
Versions 5 and 6 write different things: 1_Pooling/config.json has a flag for each way of pooling, joined in the order cls,
max, mean, mean_sqrt_len, weightedmean, lasttoken, or one `pooling_mode`, a name or a list in the order of joining.
Version 6 saves the tokenizer as transformers 5 makes it: it splits at white space first.
"""
import argparse
import pathlib
import shutil
import tempfile
import warnings

import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer

import pipelines

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

MAJOR = int(sentence_transformers.__version__.split(".")[0])
FLAGS = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
         "weightedmean": "weightedmean_tokens", "lasttoken": "lasttoken"}
VARIANTS = {  # modes of pooling, and what follows
    "mean": (["mean"], ""), "cls": (["cls"], ""), "max": (["max"], ""), "sqrt": (["mean_sqrt_len_tokens"], ""),
    "weighted": (["weightedmean"], ""), "last": (["lasttoken"], ""), "normalized": (["mean"], "normalize"),
    "dense": (["mean"], "dense"), "cls-max": (["cls", "max"], ""), "mean-last": (["mean", "lasttoken"], "dense normalize"),
    "mean-cls": (["mean", "cls"], "normalize"), "short": (["mean"], "lower normalize"),
}


def pooling(width, modes):
    """A pooling module; version 5 joins in an order of its own."""
    if MAJOR >= 6:
        return Pooling(width, modes if len(modes) > 1 else modes[0])
    return Pooling(width, **{f"pooling_mode_{flag}": mode in modes for mode, flag in FLAGS.items()})


def sentence_model(source, modes, extras, dense_width=64, short=64):
    """The modules of a variant. `lower`: max_seq_length and do_lower_case in sentence_bert_config.json."""
    with tempfile.TemporaryDirectory() as folder:  # config.json alone in other files would name the source
        lower = {"max_seq_length": short, "do_lower_case": True} if "lower" in extras else {}
        shutil.copytree(source, folder, dirs_exist_ok=True)
        for path in pathlib.Path(folder).iterdir():
            path.chmod(0o644)
        transformer = Transformer(folder, **lower)
    width = transformer.get_word_embedding_dimension() if MAJOR < 6 else transformer.get_embedding_dimension()
    modules = [transformer, pooling(width, modes)]
    if "dense" in extras:
        torch.manual_seed(7)
        modules.append(Dense(in_features=width * len(modes), out_features=dense_width, activation_function=torch.nn.Tanh()))
    if "normalize" in extras:
        modules.append(Normalize())
    return SentenceTransformer(modules=modules, device="cpu")


def write(out, source, name, texts, dense_width=64, short=64):
    """One folder and its set."""
    modes, extras = VARIANTS[name]
    folder = out / "models" / f"st{MAJOR}-{name}"
    if not folder.exists():
        sentence_model(source, modes, extras, dense_width, short).save(str(folder), create_model_card=False)
    model = SentenceTransformer(str(folder), device="cpu")
    place, stem = out / "embed", f"st{MAJOR}-{name}"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{stem}.args.json").write_text('["embed"]\n')
    (place / f"{stem}.model.txt").write_text(f"models/{folder.name}\n")
    items = [{"text": text} for text in texts]
    pipelines.lines(place / f"{stem}.input.jsonl", items)
    version = f"sentence-transformers {sentence_transformers.__version__}"
    vectors = [pipelines.rounded(model.encode(text).tolist(), 7) for text in texts]
    pipelines.lines(place / f"{stem}.expected.jsonl", [
        {"input": item, "parameters": {}, "version": version, "output": vector} for item, vector in zip(items, vectors)])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--texts", type=pathlib.Path, required=True)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    options = parser.parse_args()
    texts = options.texts.read_text(encoding="utf-8").splitlines()
    for name in options.variants.split(","):
        write(options.out, options.model, name, texts)
        print(f"st{MAJOR}-{name}: {len(texts)} texts", flush=True)


if __name__ == "__main__":
    main()
