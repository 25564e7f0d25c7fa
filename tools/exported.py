"""What the checks of exported models share: goldens, batches, `albert`'s own outputs, deviations. Needs numpy and safetensors alone.

Alphabet: B batch, K choices, S length.
"""
import collections
import json
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
import safetensors.numpy

ROOT = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
TOLERANCE = 1e-5
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
JOINT = "AlbertForJointQuestionAnswering"

Golden = collections.namedtuple("Golden", "name folder class_name config prefix")


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


def goldens():
    """Every golden that has what an exported model takes: with what to change in its configuration, and the prefix of its outputs."""
    for folder in sorted((ROOT / "model").iterdir()):
        about = json.loads((folder / "expected.json").read_text())
        inputs = safetensors.numpy.load_file(folder / "inputs.safetensors")
        # Models with relative positions ignore position_ids.
        others = {"head_mask"} if folder.name.startswith("relative") else {"head_mask", "position_ids"}
        if "input_ids" not in inputs or others & set(inputs) or about["loading"]["missing_keys"]:
            continue
        for prefix, config in about.get("variants", {"": {}}).items():
            if not prefix.startswith("mask_"):  # the mask of another program
                yield Golden(f"{folder.name} {prefix}".strip(), folder, about["class"], config, f"{prefix}." if prefix else "")
    joint = ROOT / "gradients" / "joint_question_answering"
    yield Golden("joint", joint, JOINT, {}, "")


def golden_in(scratch, golden):
    """The folder of a golden's model, its inputs and its outputs."""
    source = scratch / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(golden.folder, source)
    changed = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**changed, **golden.config}))
    given = safetensors.numpy.load_file(golden.folder / "inputs.safetensors")
    feed = complete(given)
    if golden.class_name == JOINT:
        expected = json.loads((golden.folder / "expected.json").read_text())["outputs"]
        expected = {name: np.array(value) for name, value in expected.items()}
        # Ends of starts that are none have numbers there.
        none = np.repeat(expected["start_top_log_probs"] < -1e20, 5, axis=1)
        expected["end_top_log_probs"][none] = -1e30
        return source, feed, expected
    if "attention_mask" in given:  # a mask of fractions: any value but 0 keeps
        feed["attention_mask"] = (given["attention_mask"] != 0).astype(np.int64)
    expected = safetensors.numpy.load_file(golden.folder / "expected.safetensors")
    prefix = golden.prefix
    return source, feed, {name.removeprefix(prefix): value for name, value in expected.items() if name.startswith(prefix)}


def deviations_joint(actual, wanted):
    """The deviation of each output; places of candidates that are none do not count, nor how unlikely those are."""
    worst = {}
    for name, value in actual.items():
        wanted_value = wanted[name].astype(np.float64)
        logs = name.replace("index", "log_probs")
        real = wanted[logs] > -1e20 if logs in wanted else np.ones_like(wanted_value, bool)
        never = actual[logs] < -1e20 if logs in actual else ~real
        assert value.shape == wanted_value.shape and (never == ~real).all(), f"{name}: other candidates"
        worst[name] = deviation(value[real], wanted_value[real])
    return worst


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
