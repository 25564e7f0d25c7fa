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
import json
import pathlib
import shutil
import subprocess
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

ROOT = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
TOLERANCE = 1e-5
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
JOINT = "AlbertForJointQuestionAnswering"

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


def forward(albert, folder, class_name, inputs, *more):
    """`albert forward`'s outputs."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        safetensors.numpy.save_file(inputs, scratch / "in.safetensors")
        run(albert, "forward", "--model", folder, "--class", class_name, "--inputs", scratch / "in.safetensors",
            "--outputs", scratch / "out.safetensors", *more)
        return safetensors.numpy.load_file(scratch / "out.safetensors")


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


def transformers64(folder, class_name, inputs):
    """transformers in f64."""
    model = reference.load(folder, class_name)
    outputs = [reference.run(model, {name: torch.from_numpy(value) for name, value in feed.items()}, torch.float64, False, False)
               for feed in inputs]
    return [{name: value.numpy() for name, value in output.items()} for output in outputs]


# ---------------------------------------------------------------- comparison

def complete(inputs):
    """The inputs of the graph: a mask of ones and types of zeros where there are none."""
    ids = inputs["input_ids"]
    defaults = {"attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return {name: np.ascontiguousarray(inputs.get(name, defaults.get(name))).astype(np.int64) for name in INPUTS}


def deviation(actual, expected, keep=None):
    """The largest deviation, relative to the largest number where that is above 1; infinite where shapes or NaN differ."""
    if actual.shape != expected.shape:
        return float("inf")
    actual, expected = actual.astype(np.float64), expected.astype(np.float64)
    if keep is not None and expected.ndim >= keep.ndim and expected.shape[:keep.ndim] == keep.shape:
        actual, expected = actual[keep], expected[keep]
    if not expected.size:
        return 0.0
    worst = np.abs(actual - expected).max() / max(1.0, np.abs(expected).max())
    return float(worst) if np.isfinite(worst) else float("inf")


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


class Checks:
    """Counts, prints, remembers what is wrong."""

    def __init__(self, only):
        self.only, self.count, self.wrong = only, 0, []

    def __call__(self, name, check):
        if self.only not in name:
            return
        self.count += 1
        try:
            worst = check()
            wrong = [key for key, value in worst.items() if not value <= 1.0]
            print(f"{'WRONG' if wrong else 'ok   '} {name}: " + ", ".join(f"{key} {value:.3f}" for key, value in worst.items()), flush=True)
        except Exception as error:  # whatever a library says about a file
            wrong = [f"{type(error).__name__}: {error}"]
            print(f"WRONG {name}: {wrong[0]}", flush=True)
        if wrong:
            self.wrong.append(name)


def in_tolerances(worst, what=""):
    return {f"{engine}{what}": value / TOLERANCE for engine, value in worst.items()}


# ---------------------------------------------------------------- goldens

def goldens():
    """(name, folder, class, configuration to change, prefix of the outputs) of every golden that has what the graph takes."""
    for folder in sorted((ROOT / "model").iterdir()):
        about = json.loads((folder / "expected.json").read_text())
        inputs = safetensors.numpy.load_file(folder / "inputs.safetensors")
        # Models with relative positions ignore position_ids.
        others = {"head_mask"} if folder.name.startswith("relative") else {"head_mask", "position_ids"}
        if "input_ids" not in inputs or others & set(inputs) or about["loading"]["missing_keys"]:
            continue
        for prefix, config in about.get("variants", {"": {}}).items():
            if not prefix.startswith("mask_"):  # the mask of another program
                yield f"{folder.name} {prefix}".strip(), folder, about["class"], config, f"{prefix}." if prefix else ""
    joint = ROOT / "gradients" / "joint_question_answering"
    yield "joint", joint, JOINT, {}, ""


def check_golden(albert, scratch, folder, class_name, config, prefix):
    source = scratch / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(folder, source)
    changed = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**changed, **config}))
    path = scratch / "model.onnx"
    run(albert, "export", "--model", source, "--to", "onnx", "--class", class_name, "--output", path)
    check_structure(path)
    given = safetensors.numpy.load_file(folder / "inputs.safetensors")
    feed = complete(given)
    if class_name == JOINT:
        expected = json.loads((folder / "expected.json").read_text())["outputs"]
        expected = {name: np.array(value) for name, value in expected.items()}
        # Ends of starts that are none have numbers there.
        none = np.repeat(expected["start_top_log_probs"] < -1e20, 5, axis=1)
        expected["end_top_log_probs"][none] = -1e30
        return in_tolerances(compare_joint(path, [feed], [expected]))
    if "attention_mask" in given:  # a mask of fractions: any value but 0 keeps
        feed["attention_mask"] = (given["attention_mask"] != 0).astype(np.int64)
    expected = safetensors.numpy.load_file(folder / "expected.safetensors")
    expected = {name.removeprefix(prefix): value for name, value in expected.items() if name.startswith(prefix)}
    return in_tolerances(compare(path, [feed], [expected]))


def compare_joint(path, inputs, expected):
    """As `compare`; places of candidates that are none do not count, nor how unlikely those are."""
    worst = {}
    for engine, run_engine in ENGINES.items():
        worst[engine] = 0.0
        for actual, wanted in zip(run_engine(path, inputs), expected, strict=True):
            for name, value in actual.items():
                wanted_value = wanted[name].astype(np.float64)
                logs = name.replace("index", "log_probs")
                real = wanted[logs] > -1e20 if logs in wanted else np.ones_like(wanted_value, bool)
                never = actual[logs] < -1e20 if logs in actual else ~real
                assert value.shape == wanted_value.shape and (never == ~real).all(), f"{name}: other candidates"
                worst[engine] = max(worst[engine], deviation(value[real], wanted_value[real]))
    return worst


# ---------------------------------------------------------------- new models

def batches(config, class_name, generator):
    """Batches with every kind of mask."""
    made = []
    for rows, length in ((1, 1), (1, 2), (3, 7), (5, 33), (7, 64), (1, 64)):
        shape = (2, rows, length) if class_name == "AlbertForMultipleChoice" else (rows, length)
        ids = generator.integers(5, config["vocab_size"], shape)
        place, count = np.arange(length), generator.integers(1, length + 1, (*shape[:-1], 1))
        mask = place < count  # padding on the right
        mask[..., 1::6, :] = (place >= length - count)[..., 1::6, :]  # on the left
        mask[..., 2::6, :] = generator.random((*shape[:-2], len(range(2, rows, 6)), length)) < 0.5  # holes
        if rows > 3 and class_name != JOINT:
            mask[..., 3, :] = False
        types = (place >= count // 3) & mask
        made.append({"input_ids": ids * mask, "attention_mask": mask.astype(np.int64), "token_type_ids": types.astype(np.int64)})
    if class_name == JOINT:  # a sequence has at least one token
        for feed in made:
            feed["attention_mask"][:, 0] = 1
    return made


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
        for name, *case in goldens():
            check(f"golden {name}", functools.partial(check_golden, albert, scratch, *case))
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
