"""Checks what `albert export --to onnx` writes, with the libraries that read it.

Usage: python tools/check_onnx.py ALBERT [--only WORD] [--keep FOLDER]
ALBERT is the program. Needs transformers 5, torch, onnx, onnxruntime and openvino. Prints a line for each model and ends with
exit code 1 if anything is wrong, or nothing was checked.

Every file passes onnx.checker (full_check, with shape inference) and holds each tensor once. ONNX Runtime and OpenVINO must give
- the goldens of fixtures/ (transformers in f64) for their inputs: every class and every dialect of files,
- transformers in f64 (eager) and `albert forward` for new models of every class and several shapes, on batches of 1 and more
  sequences of 1 to 64 tokens with padding on both sides, holes and a sequence that the mask hides whole,
within 1e-5 of the largest number of an output, or of 1 where that is less. Of quantised folders, the two forms of 8 bits are
compared with `albert forward` in f32. At the end the comparison itself is tested: it must notice damaged files.
"""
import argparse
import collections
import functools
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
import openvino
import safetensors.numpy
import safetensors.torch
import torch
from transformers import AlbertConfig

import reference
from exported import INPUTS, JOINT, TOLERANCE, Checks, batches, deviation, deviations_joint, forward, golden_in, goldens, run


# Relative RMS error that the rounding of activations to 8 bits may add in these small models, whose rows are short.
DYNAMIC = 0.04

SMALL = dict(vocab_size=61, embedding_size=12, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
             max_position_embeddings=64, type_vocab_size=2, num_labels=3, hidden_act="gelu_new")
SHAPES = {
    "plain": {},
    "groups": dict(num_hidden_layers=4, num_hidden_groups=2, hidden_act="gelu", embedding_size=24),
    "inner": dict(inner_group_num=2, num_hidden_groups=2, hidden_act="relu", tie_word_embeddings=False),
    "wide": dict(hidden_size=52, num_attention_heads=2, layer_norm_eps=1e-5, hidden_act="silu", num_hidden_layers=3),
}


# ---------------------------------------------------------------- engines

def run_onnxruntime(path, inputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return [dict(zip(names, session.run(None, feed))) for feed in inputs]


def run_openvino(path, inputs):
    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = [output.any_name for output in model.outputs]
    return [dict(zip(names, (value.copy() for value in model(feed).values()))) for feed in inputs]


ENGINES = {"ONNX Runtime": run_onnxruntime, "OpenVINO": run_openvino}


def transformers64(folder, class_name, inputs):
    """transformers in f64."""
    model = reference.load(folder, class_name)
    outputs = [reference.run(model, {name: torch.from_numpy(value) for name, value in feed.items()}, torch.float64, False, False)
               for feed in inputs]
    return [{name: value.numpy() for name, value in output.items()} for output in outputs]


# ---------------------------------------------------------------- comparison

def compare(path, inputs, expected, keep=False):
    """The worst deviation of each engine from `expected`, a list of outputs; every output of the file must be expected."""
    worst = {}
    for engine, run_engine in ENGINES.items():
        worst[engine] = 0.0
        for feed, actual, wanted in zip(inputs, run_engine(path, inputs), expected, strict=True):
            visible = feed["attention_mask"] != 0 if keep else None
            for name, value in actual.items():
                assert name in wanted, f"{engine} gives {name}, expected {sorted(wanted)}"
                worst[engine] = max(worst[engine], deviation(value, wanted[name], visible))
    return worst


def check_structure(path):
    """onnx.checker, the names of inputs, and that no tensor stands in the file twice."""
    onnx.checker.check_model(str(path), full_check=True)
    graph = onnx.load(str(path)).graph
    assert [value.name for value in graph.input] == list(INPUTS), [value.name for value in graph.input]
    large = collections.Counter(tensor.raw_data for tensor in graph.initializer if len(tensor.raw_data) > 512)
    assert max(large.values()) == 1, "a tensor stands in the file twice"


def in_tolerances(worst, what=""):
    return {f"{engine}{what}": value / TOLERANCE for engine, value in worst.items()}


# ---------------------------------------------------------------- goldens

def check_golden(albert, scratch, golden):
    path = scratch / "model.onnx"
    folder, feed, expected = golden_in(scratch, golden)
    run(albert, "export", "--model", folder, "--to", "onnx", "--class", golden.class_name, "--output", path)
    check_structure(path)
    return in_tolerances((compare_joint if golden.class_name == JOINT else compare)(path, [feed], [expected]))


def compare_joint(path, inputs, expected):
    """As `compare`, with `deviations_joint`."""
    return {engine: max(max(deviations_joint(actual, wanted).values())
                        for actual, wanted in zip(run_engine(path, inputs), expected, strict=True))
            for engine, run_engine in ENGINES.items()}


# ---------------------------------------------------------------- new models

def new_model(scratch, class_name, shape, seed):
    config = {**SMALL, **shape}
    if class_name == "AlbertForQuestionAnswering":
        config["num_labels"] = 2
    model = reference.noisy_model(class_name, AlbertConfig(**config), seed, std=0.2, noise=0.2)
    folder = scratch / "new"
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    return config, folder


def check_new(albert, scratch, class_name, shape, seed):
    config, folder = new_model(scratch, class_name, shape, seed)
    path = scratch / "model.onnx"
    run(albert, "export", "--model", folder, "--to", "onnx", "--output", path)
    check_structure(path)
    inputs = batches(config, class_name, np.random.default_rng(seed))
    worst = in_tolerances(compare(path, inputs, transformers64(folder, class_name, inputs)))
    ours = [forward(albert, folder, class_name, feed) for feed in inputs]
    return {**worst, **in_tolerances(compare(path, inputs, ours, keep=True), " against albert")}


def check_joint(albert, scratch, seed):
    """The joint head has no class in transformers; its golden is computed with transformers' layers."""
    config, folder = new_model(scratch, "AlbertModel", SHAPES["plain"], seed)
    generator, h = np.random.default_rng(seed), config["hidden_size"]
    tensors = {"albert." + name: value for name, value in safetensors.numpy.load_file(folder / "model.safetensors").items()}
    shapes = {"start_logits.dense": (1, h), "end_logits.dense_0": (h, 2 * h), "end_logits.dense_1": (1, h), "answer_class.dense_0": (h, 2 * h),
              "answer_class.dense_1": (1, h)}
    for name, shape in shapes.items():
        tensors[f"{name}.weight"] = generator.normal(0, 0.3, shape).astype(np.float32)
        tensors[f"{name}.bias"] = generator.normal(0, 0.3, shape[0]).astype(np.float32)
    del tensors["answer_class.dense_1.bias"]
    for part in ("weight", "bias"):
        tensors[f"end_logits.LayerNorm.{part}"] = generator.normal(1, 0.3, h).astype(np.float32)
    safetensors.numpy.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    path = scratch / "model.onnx"
    run(albert, "export", "--model", folder, "--to", "onnx", "--class", JOINT, "--output", path)
    check_structure(path)
    inputs = batches(config, JOINT, generator)
    return in_tolerances(compare_joint(path, inputs, [forward(albert, folder, JOINT, feed) for feed in inputs]))


# ---------------------------------------------------------------- 8 bits, sizes, and the checks themselves

def check_quantized(albert, scratch, class_name, seed):
    """Weights alone in 8 bits: exactly those of `albert quantize`. Activations too: near that."""
    config, folder = new_model(scratch, class_name, dict(SHAPES["wide"], hidden_act="gelu_new"), seed)
    quantized = scratch / "quantized"
    shutil.rmtree(quantized, ignore_errors=True)
    run(albert, "quantize", folder, quantized)
    inputs = batches(config, class_name, np.random.default_rng(seed))
    expected = [forward(albert, quantized, class_name, feed, "--dtype", "f32") for feed in inputs]
    worst, errors = {}, {}
    for source in (folder, quantized):
        for dtype in ("int8", "int8-weights"):
            path = scratch / f"{source.name}-{dtype}.onnx"
            run(albert, "export", "--model", source, "--to", "onnx", "--output", path, "--dtype", dtype)
            check_structure(path)
    new, old = (scratch / f"{name}-int8.onnx" for name in ("new", "quantized"))
    assert new.read_bytes() == old.read_bytes(), "a folder and its quantised form give different files"
    path = scratch / "quantized-int8-weights.onnx"
    # OpenVINO computes with 8-bit activations of its own here, ONNX Runtime in f32.
    outputs = zip(inputs, run_onnxruntime(path, inputs), expected, strict=True)
    worst["weights"] = max(deviation(actual[name], wanted[name], feed["attention_mask"] != 0)
                           for feed, actual, wanted in outputs for name in actual) / TOLERANCE
    for engine, run_engine in ENGINES.items():
        for feed, actual, wanted in zip(inputs, run_engine(old, inputs), expected, strict=True):
            for name, value in actual.items():
                keep = feed["attention_mask"] != 0
                keep = keep if value.shape[:keep.ndim] == keep.shape else ...
                difference, size = np.square(value[keep] - wanted[name][keep]).sum(), np.square(wanted[name][keep]).sum()
                errors[engine] = max(errors.get(engine, 0.0), float(np.sqrt(difference / size)))
    worst.update({f"{engine} activations": error / DYNAMIC for engine, error in errors.items()})
    return worst


def check_size(albert, scratch):
    """At most 1.05 times the weights, for the smallest of the usual models."""
    tiny = dict(vocab_size=30000, embedding_size=128, hidden_size=312, num_hidden_layers=4, num_attention_heads=12, intermediate_size=1248,
                max_position_embeddings=512)
    _, folder = new_model(scratch, "AlbertForMaskedLM", tiny, 1)
    path = scratch / "model.onnx"
    run(albert, "export", "--model", folder, "--to", "onnx", "--output", path)
    ratio = path.stat().st_size / (folder / "model.safetensors").stat().st_size
    return {f"{ratio:.4f} times the weights, of 1.05": ratio / 1.05}


def damage(path, edit):
    model = onnx.load(str(path))
    edit(model.graph)
    onnx.save(model, str(path))


def add_to(name, value):
    def edit(graph):
        tensor = next(tensor for tensor in graph.initializer if tensor.name.endswith(name))
        values = np.frombuffer(tensor.raw_data, np.float32).copy()
        values[0] += value
        tensor.raw_data = values.tobytes()
    return edit


def without_mask(graph):
    next(node for node in graph.node if node.op_type == "Where").input[2] = "float 0e0"


def swapped(graph):
    names = [f"albert.encoder.albert_layer_groups.0.albert_layers.0.attention.{part}.weight" for part in ("query", "value")]
    first, second = (next(tensor for tensor in graph.initializer if tensor.name == name) for name in names)
    first.raw_data, second.raw_data = second.raw_data, first.raw_data


def check_the_check(albert, scratch):
    """Damaged files must be noticed."""
    config, folder = new_model(scratch, "AlbertForMaskedLM", {}, 3)
    inputs = batches(config, "AlbertForMaskedLM", np.random.default_rng(3))
    expected = transformers64(folder, "AlbertForMaskedLM", inputs)
    for what, edit in (("a weight", add_to("ffn.weight", 1e-2)), ("a bias", add_to("predictions.bias", 1e-3)),
                       ("a norm", add_to("embeddings.LayerNorm.bias", 1e-2)), ("the mask", without_mask), ("queries and values", swapped)):
        path = scratch / "damaged.onnx"
        run(albert, "export", "--model", folder, "--to", "onnx", "--output", path)
        damage(path, edit)
        for engine, worst in compare(path, inputs, expected).items():
            assert worst > 2 * TOLERANCE, f"{engine}: {what} is wrong, and nobody noticed: {worst}"
    return {}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("albert", help="the program")
    parser.add_argument("--only", default="", help="checks whose name has this word")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    albert, check = str(pathlib.Path(arguments.albert).resolve()), Checks(arguments.only)
    print("Deviations are in units of what is allowed.")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for golden in goldens():
            check(f"golden {golden.name}", functools.partial(check_golden, albert, scratch, golden))
        for class_name in reference.CLASSES:
            for seed, (shape, fields) in enumerate(SHAPES.items()):
                check(f"new {class_name} {shape}", functools.partial(check_new, albert, scratch, class_name, fields, seed))
        for seed in range(3):
            check(f"new {JOINT} {seed}", functools.partial(check_joint, albert, scratch, seed))
        for seed, class_name in enumerate(("AlbertModel", "AlbertForMaskedLM", "AlbertForTokenClassification")):
            check(f"8 bits {class_name}", functools.partial(check_quantized, albert, scratch, class_name, seed))
        check("size", functools.partial(check_size, albert, scratch))
        check("damaged files", functools.partial(check_the_check, albert, scratch))
    print(f"{check.count} checks, {len(check.wrong)} wrong")
    return 1 if check.wrong or not check.count else 0


if __name__ == "__main__":
    sys.exit(main())
