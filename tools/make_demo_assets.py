"""Writes crates/cli/assets/demo and crates/cli/assets/sentiment: the models inside the program, with 8-bit weights.

Usage: python make_demo_assets.py PRETRAINED SENTIMENT [--out DIR]   DIR defaults to ../crates/cli/assets
       python make_demo_assets.py --expand DIR NAME OUT              OUT: the model NAME as an f32 folder for transformers;
                                                                     copy tokenizer.json of PRETRAINED there as well
PRETRAINED is the folder of an AlbertForPreTraining with spiece.model, SENTIMENT that of an AlbertForSequenceClassification
fine-tuned from it. Needs numpy; the same folders give the same bytes.

A matrix X [rows, columns] is stored as I8 with X_scale, F32 [rows, 1]: X[i,j] = I8[i,j] · scale[i], the scale being the
row's largest absolute value / 127. Vectors, and matrices of fewer than 16 rows, are BF16, rounded to nearest even. The
decoder's weight is the word table and is not stored; its bias is `predictions.bias`.

`sentiment` holds no tokenizer and no word table: its table is that of `demo`, as stored, plus LEFT · RIGHT, two BF16
matrices [V, RANK] and [RANK, E]: fine-tuning moves the words along few directions.
"""
import argparse
import json
import pathlib
import shutil
import struct
import sys

import numpy

WORDS = "albert.embeddings.word_embeddings.weight"
LEFT, RIGHT = f"{WORDS}_delta_left", f"{WORDS}_delta_right"
SMALL_ROWS = 16  # matrices with fewer rows gain nothing from a scale of their own
DROPPED = {"predictions.decoder.weight", "predictions.decoder.bias"}  # tied
RANK = 3  # of the difference of the word tables
LIMIT = 6_000_000
TYPES = {"F32": numpy.dtype("<f4"), "BF16": numpy.dtype("<u2"), "I8": numpy.dtype("i1")}


def read(path):
    """Tensors of a safetensors file as {name: (type, array)}; BF16 as its 16 bits."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = (entry["dtype"], numpy.frombuffer(raw[begin:end], TYPES[entry["dtype"]]).reshape(entry["shape"]))
    return tensors


def save(path, tensors):
    """A safetensors file, the widest types first so that every tensor is aligned, names in order."""
    header, parts, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, (kind, array) in sorted(tensors.items(), key=lambda item: (-TYPES[item[1][0]].itemsize, item[0])):
        raw = numpy.ascontiguousarray(array, TYPES[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [offset, offset + len(raw)]}
        parts.append(raw)
        offset += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def bf16(values):
    """The upper 16 bits of f32, rounded to nearest, ties to even."""
    bits = numpy.ascontiguousarray(values, "<f4").view("<u4").astype(numpy.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def rows8(values):
    """8-bit rows and their scales; a row of zeros has the scale 1."""
    scale = numpy.abs(values).max(axis=1, keepdims=True) / numpy.float32(127)
    scale[scale == 0] = 1
    return numpy.clip(numpy.rint(values / scale), -127, 127).astype(numpy.int8), scale.astype("<f4")


def directions(difference):
    """The best product of RANK columns and rows: the largest singular vectors, the rows of length 1; and its part of the whole."""
    values, vectors = numpy.linalg.eigh((difference.T @ difference).astype(numpy.float64))
    rows = vectors[:, :-RANK - 1:-1].T
    largest = numpy.take_along_axis(rows, numpy.abs(rows).argmax(axis=1, keepdims=True), axis=1)
    rows = rows * numpy.sign(largest)
    return difference @ rows.T, rows, values[-RANK:].sum() / values.sum()


def packed(tensors):
    """Every tensor in its stored form."""
    made = {}
    for name, (kind, array) in tensors.items():
        if kind != "F32":
            sys.exit(f"{name} is {kind}, expected F32")
        if not numpy.isfinite(array).all():
            sys.exit(f"{name} holds a number that is not finite")
        if array.ndim == 2 and array.shape[0] >= SMALL_ROWS:
            small, scale = rows8(array)
            made[name], made[f"{name}_scale"] = ("I8", small), ("F32", scale)
        else:
            made[name] = ("BF16", bf16(array))
    return made


def expanded(tensors):
    """The f32 tensors that the stored ones mean."""
    made = {}
    for name, (kind, array) in tensors.items():
        if kind == "I8":
            made[name] = ("F32", array.astype("<f4") * tensors[f"{name}_scale"][1])
        elif kind == "BF16":
            made[name] = ("F32", (array.astype("<u4") << 16).view("<f4"))
    return made


def config(folder, labels=()):
    """config.json in the order of its keys, without what depends on who saved it."""
    made = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if labels:
        made["id2label"] = {str(i): label for i, label in enumerate(labels)}
        made["label2id"] = {label: i for i, label in enumerate(labels)}
    for key in ("dtype", "torch_dtype", "transformers_version", "_name_or_path"):
        made.pop(key, None)
    return json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def make(pretrained, sentiment, out):
    """Both folders."""
    demo, classifier = out / "demo", out / "sentiment"
    for source, folder, labels in ((pretrained, demo, ()), (sentiment, classifier, ("negative", "positive"))):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(config(source, labels), encoding="utf-8")
        tensors = {name: value for name, value in read(source / "model.safetensors").items() if name not in DROPPED}
        difference = {}
        if folder is classifier:
            _, words = tensors.pop(WORDS)
            left, right, part = directions(words - expanded(read(demo / "model.safetensors"))[WORDS][1].astype(numpy.float64))
            difference = {LEFT: ("BF16", bf16(left)), RIGHT: ("BF16", bf16(right))}
            print(f"{part:.1%} of the squared difference of the word tables lie on {RANK} directions")
        save(folder / "model.safetensors", packed(tensors) | difference)
    shutil.copyfile(pretrained / "spiece.model", demo / "spiece.model")
    settings = json.loads((pretrained / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["clean_up_tokenization_spaces"] = True  # a demo's text is for people
    settings["model_max_length"] = json.loads(config(pretrained))["max_position_embeddings"]
    (demo / "tokenizer_config.json").write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    total = 0
    for path in sorted(path for folder in (demo, classifier) for path in folder.iterdir()):
        total += path.stat().st_size
        print(f"{path.stat().st_size:9}  {path.relative_to(out)}")
    print(f"{total:9}  of at most {LIMIT}")
    if total > LIMIT:
        sys.exit("too large")


def expand(assets, name, out):
    """A folder that transformers reads."""
    out.mkdir(parents=True, exist_ok=True)
    tensors = read(assets / name / "model.safetensors")
    if WORDS not in tensors:
        table = expanded(read(assets / "demo" / "model.safetensors"))[WORDS][1]
        made = expanded(tensors)
        made[WORDS] = ("F32", table + made.pop(LEFT)[1] @ made.pop(RIGHT)[1])
    else:
        made = expanded(tensors)
    save(out / "model.safetensors", made)
    shutil.copyfile(assets / name / "config.json", out / "config.json")
    for file in ("spiece.model", "tokenizer_config.json"):
        shutil.copyfile(assets / "demo" / file, out / file)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent / "crates/cli/assets")
    parser.add_argument("--expand", nargs=3, metavar=("DIR", "NAME", "OUT"))
    options = parser.parse_args()
    if options.expand:
        expand(pathlib.Path(options.expand[0]), options.expand[1], pathlib.Path(options.expand[2]))
    elif len(options.folders) == 2:
        make(*options.folders, options.out)
    else:
        parser.error("two folders, or --expand")


if __name__ == "__main__":
    main()
