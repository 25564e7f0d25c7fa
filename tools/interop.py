"""Are the files that `albert convert` writes read by the programs they are for, with the same results?

Usage: python tools/interop.py ALBERT [WORK] [--only PART]     ALBERT: the program; WORK: a folder for environments, default target/interop.
Converts models of fixtures/ to every format, runs `albert forward` on them, and lets the real libraries load the same folders:
    transformers 5 (PyTorch)      model.safetensors, pytorch_model.bin
    transformers 4.57 (TensorFlow, Flax where it imports)      tf_model.h5, flax_model.msgpack
    TensorFlow                    model.ckpt-best, restored into a graph with the variables of google-research/albert
Then runs the tests of crates/tensorflow with the C library of TensorFlow's wheel, and the checks of what `albert export` writes and of
the hub's cache: check_onnx.py, check_saved_model.py, check_hub.py. `--only check_onnx` runs that part alone.
A folder passes if the library misses no tensor and meets no unexpected one, and its outputs are within 1e-5 of ours. Makes two virtual environments in WORK
unless PYTHON523 (torch, transformers 5) and PYTHONTF (tensorflow, tf-keras, transformers 4.57, h5py, perhaps flax) name them.
Exit code 1 if a folder fails, or a library that should be there is not.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("PYTHONWARNINGS", "ignore")

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGETS = {"safetensors": "torch", "torch": "torch", "h5": "tensorflow", "flax": "tensorflow", "tf1": "tensorflow"}
PACKAGES = {
    "torch": ["torch", "transformers==5.23.0", "safetensors", "numpy", "onnx", "onnxruntime", "openvino", "huggingface_hub"],
    "tensorflow": ["tensorflow-cpu==2.21.*", "tf-keras==2.21.*", "transformers==4.57.6", "h5py", "safetensors"],
}
CASES = {
    "dialects/google_pretraining": "AlbertForPreTraining", "dialects/google_hub": "AlbertModel", "dialects/google_equal": "AlbertModel",
    "dialects/google_classifier": "AlbertForSequenceClassification", "dialects/google_race": "AlbertForMultipleChoice",
    "dialects/google_squad1": "AlbertForQuestionAnswering", "dialects/google_squad2": "AlbertForJointQuestionAnswering",
    "dialects/zh_pretraining": "AlbertForPreTraining", "dialects/keras_masked_lm": "AlbertForMaskedLM",
    "dialects/keras_tagger": "AlbertForTokenClassification", "dialects/torch_pretraining": "AlbertForPreTraining",
    "model/pretraining": "AlbertForPreTraining", "model/masked_lm": "AlbertForMaskedLM",
    "model/sequence_classification": "AlbertForSequenceClassification", "model/token_classification": "AlbertForTokenClassification",
    "model/question_answering": "AlbertForQuestionAnswering", "model/multiple_choice": "AlbertForMultipleChoice",
    "model/groups_l4_g2_n1": "AlbertModel",
}
# transformers has no class with this head; Google's code computes GELU by tanh alone.
LEFT_OUT = {(case, to) for case, cls in CASES.items() for to in TARGETS
            if (cls == "AlbertForJointQuestionAnswering" and to != "tf1") or (case.startswith("model/") and to == "tf1")}
TOLERANCE = 1e-5


def convert(albert, out):
    for case, cls in CASES.items():
        source = ROOT / "fixtures" / case
        for to in TARGETS:
            if (case, to) in LEFT_OUT:
                continue
            folder = out / case.replace("/", "_") / to
            folder.parent.mkdir(exist_ok=True)
            run = lambda *words: subprocess.run([albert, *map(str, words)], check=True, stdout=subprocess.DEVNULL)
            run("convert", source, folder, "--to", to, "--class", cls, "--mlm-bias", "decoder", "--quiet")
            run("forward", "--model", folder, "--class", cls, "--inputs", source / "inputs.safetensors", "--outputs", folder / "ours.safetensors")
            shutil.copyfile(source / "inputs.safetensors", folder / "inputs.safetensors")
            (folder / "class.txt").write_text(cls)


def has_pooler_too_many(folder):
    """Google's checkpoints have a pooler everywhere, and nothing of a model is left out."""
    return "google_squad" in folder.parent.name


def torch_outputs(folder, cls, to, inputs):
    import torch
    import transformers

    model, info = getattr(transformers, cls).from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    with torch.no_grad():
        output = model.eval()(**{n: torch.tensor(t) for n, t in inputs.items()})
    return {n: t.numpy() for n, t in output.items() if isinstance(t, torch.Tensor)}, info


def keras_outputs(folder, cls, to, inputs):
    import tensorflow as tf
    import transformers

    model, info = getattr(transformers, "TF" + cls).from_pretrained(folder, output_loading_info=True)
    output = model({n: tf.constant(t) for n, t in inputs.items()})
    if not has_pooler_too_many(folder):
        # Keras' own reader takes the weights by their order.
        before = [weight.numpy() for weight in model.weights]
        for weight in model.weights:
            weight.assign(tf.zeros_like(weight))
        model.load_weights(folder / "tf_model.h5")
        assert all((weight.numpy() == old).all() for weight, old in zip(model.weights, before)), "load_weights gives other values"
    return {n: t.numpy() for n, t in output.items() if isinstance(t, tf.Tensor)}, info


def flax_outputs(folder, cls, to, inputs):
    import numpy as np
    import transformers

    model = getattr(transformers, "Flax" + cls).from_pretrained(folder)
    missing = getattr(model, "_missing_keys", set())
    output = model(**inputs)
    return {n: np.asarray(t) for n, t in output.items() if hasattr(t, "shape")}, {"missing_keys": missing}


def google_outputs(folder, cls, to, inputs):
    import tensorflow as tf
    from make_dialect_fixtures import Graph

    sizes = json.loads((folder / "albert_config.json").read_text())
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = Graph(tf, sizes, inputs)
        x, pooled = graph.bert()
        if cls == "AlbertForPreTraining":
            outputs = graph.pretraining(x, pooled, sizes["embedding_size"])
        elif cls == "AlbertForMaskedLM":
            outputs = {"logits": graph.pretraining(x, pooled, sizes["embedding_size"])["prediction_logits"]}
        elif cls == "AlbertForSequenceClassification":
            outputs = {"logits": graph.rows(pooled, 3)}
        elif cls == "AlbertForTokenClassification":
            outputs = {"logits": graph.rows(x, 3)}
        elif cls == "AlbertForMultipleChoice":
            outputs = {"logits": tf.reshape(graph.rows(pooled, 1), inputs["input_ids"].shape[:2])}
        elif cls == "AlbertForQuestionAnswering":
            with graph.scope("cls/squad"):
                logits = graph.rows(x, 2)
            outputs = {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}
        elif cls == "AlbertForJointQuestionAnswering":
            outputs = graph.squad2(x)
        else:
            outputs = {"last_hidden_state": x, "pooler_output": pooled}
        # The classes without a pooler have no tensors of it, nor those of another head.
        held = dict(tf.train.list_variables(str(folder)))
        variables = [v for v in tf.compat.v1.trainable_variables() if v.op.name in held or not v.op.name.startswith(("bert/pooler", "cls/seq"))]
        missing = [v.op.name for v in variables if v.op.name not in held]
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables).restore(session, tf.train.latest_checkpoint(str(folder)))
        return session.run(outputs), {"missing_keys": missing, "unexpected_keys": sorted(set(held) - {v.op.name for v in variables})}


def check_one(folder, cls, to, outputs_of):
    import numpy as np
    from safetensors.numpy import load_file

    inputs = {n: t for n, t in load_file(folder / "inputs.safetensors").items() if n in ("input_ids", "attention_mask", "token_type_ids")}
    outputs, info = outputs_of(folder, cls, to, inputs)
    missing, unexpected = (sorted(info.get(list_, [])) for list_ in ("missing_keys", "unexpected_keys"))
    if has_pooler_too_many(folder):
        unexpected = [name for name in unexpected if "pooler" not in name]
    ours = load_file(folder / "ours.safetensors")
    names = [n for n in outputs if n in ours and n != "loss"]
    largest = 0.0
    for name in names:
        a, b = np.asarray(outputs[name], np.float64), ours[name].astype(np.float64)
        assert a.shape == b.shape, (name, a.shape, b.shape)
        mask = inputs.get("attention_mask", np.ones(inputs["input_ids"].shape))
        if a.shape[:2] == mask.shape and a.ndim >= 2 and a.shape[:2] == inputs["input_ids"].shape:
            a, b = a[mask != 0], b[mask != 0]
        largest = max(largest, float(np.abs(a - b).max() / max(1.0, np.abs(a).max())))
    good = bool(names) and not missing and not unexpected and largest <= TOLERANCE
    print(f"{'ok  ' if good else 'FAIL'}  {to:<12} {folder.parent.name:<34} {', '.join(names) or 'no outputs':<36} {largest:.1e}"
          + (f"  missing {missing}" if missing else "") + (f"  unexpected {unexpected}" if unexpected else ""))
    return good


def check(library, out):
    """In the environment of a library: all folders that are for it."""
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    readers = {"safetensors": torch_outputs, "torch": torch_outputs, "h5": keras_outputs, "flax": flax_outputs, "tf1": google_outputs}
    if library == "tensorflow":
        try:
            from transformers import FlaxAlbertForMaskedLM  # noqa: F401
            import flax, jax  # noqa: F401, E401
        except Exception as error:
            print(f"skipped: flax ({type(error).__name__}: {str(error).splitlines()[0]})")
            readers.pop("flax")
    good = [check_one(folder, (folder / "class.txt").read_text(), folder.name, readers[folder.name])
            for folder in sorted(out.glob("*/*")) if folder.name in readers and TARGETS[folder.name] == library]
    print(f"{library}: {sum(good)} of {len(good)} folders")
    return 0 if good and all(good) else 1


def environment(library, work):
    given = os.environ.get({"torch": "PYTHON523", "tensorflow": "PYTHONTF"}[library])
    if given:
        return given
    folder = work / library
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES[library]], check=True)
        if library == "tensorflow":
            # What transformers 4.57 asks for; without it, what is for Flax is not checked.
            subprocess.run([python, "-m", "pip", "install", "--quiet", "flax"], check=False)
        (folder / "ready").touch()
    return str(python)


def check_c_library(work):
    """The TFAlbert types of crates/tensorflow, executed by the wheel's C library."""
    find = "import importlib.util; print(*importlib.util.find_spec('tensorflow').submodule_search_locations)"
    wheel = subprocess.run([environment("tensorflow", work), "-c", find], check=True, capture_output=True, text=True).stdout.strip()
    variables = {**os.environ, "ALBERT_TENSORFLOW_LIBRARY": wheel, "ALBERT_REQUIRE_TENSORFLOW": "1"}
    # Without a choice of targets: `--example` would build the example as a test, and a test runs the example.
    words = ["test", "--locked", "-p", "albert-tensorflow"]
    return subprocess.run([os.environ.get("CARGO", "cargo"), *words], cwd=ROOT, env=variables).returncode


def check_folders(albert, work):
    with tempfile.TemporaryDirectory(dir=work) as out:
        convert(albert, pathlib.Path(out))
        return max(subprocess.run([environment(library, work), __file__, "--check", library, out]).returncode for library in PACKAGES)


def check_by(script, library):
    return lambda albert, work: subprocess.run([environment(library, work), pathlib.Path(__file__).with_name(f"{script}.py"), albert]).returncode


PARTS = {"convert": check_folders, "tensorflow": lambda _, work: check_c_library(work), "check_onnx": check_by("check_onnx", "torch"),
         "check_saved_model": check_by("check_saved_model", "tensorflow"), "check_hub": check_by("check_hub", "torch")}


def main(albert, work, only):
    work.mkdir(parents=True, exist_ok=True)
    failed = [name for name, check in PARTS.items() if only in (None, name) and check(albert, work)]
    print(f"interop: {'failed: ' + ', '.join(failed) if failed else 'all parts passed' if only is None else only + ' passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1] == "--check":
        sys.exit(check(sys.argv[2], pathlib.Path(sys.argv[3])))
    parser = argparse.ArgumentParser()
    parser.add_argument("albert", type=pathlib.Path), parser.add_argument("work", type=pathlib.Path, nargs="?", default=ROOT / "target/interop")
    parser.add_argument("--only", choices=PARTS)
    given = parser.parse_args()
    sys.exit(main(str(given.albert.resolve()), given.work.resolve(), given.only))
