"""Checks what `albert export --to saved-model` writes, with TensorFlow.

Usage: python tools/check_saved_model.py ALBERT [--only WORD]
ALBERT is the program. Needs tensorflow 2.21, tf-keras and transformers 4.57. Prints a line for each model and ends with exit code 1
if anything is wrong, or nothing was checked.

Every folder is loaded by `tf.saved_model.load` (called by name with int32 and int64, and by both signatures), by a session of
TensorFlow 1, and by the C library's TF_LoadSessionFromSavedModel. Outputs must be
- the goldens of fixtures/ (transformers' PyTorch classes in f64) for their inputs, of every class,
- those of transformers' TensorFlow classes and of `albert forward` for new models of every class and several shapes, on batches of
  1 and more sequences of 1 to 64 tokens with padding on both sides, holes and a sequence that the mask hides whole,
within 1e-5 of the largest number of an output, or of 1 where that is less. The names of the variables are those of the TensorFlow
classes; the gradients of a loss are theirs within 1e-4, none is missing, and a step along them lowers the loss. No tensor is there
twice. At the end the comparison itself is tested: it must notice models with damaged tensors.
"""
import argparse
import ctypes
import functools
import os
import pathlib
import shutil
import sys
import tempfile

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", TF_USE_LEGACY_KERAS="1", HF_HUB_OFFLINE="1")

import numpy as np
import safetensors.numpy
import tensorflow as tf
import transformers
from tensorflow.core.protobuf import saved_model_pb2
from transformers.modeling_tf_pytorch_utils import convert_tf_weight_name_to_pt_weight_name as torch_name

from exported import JOINT, TOLERANCE, Checks, batches, deviation, deviations_joint, forward, golden_in, goldens, run

# Of gradients, relative to the largest number of each.
GRADIENTS = 1e-4

CLASSES = ("AlbertModel", "AlbertForPreTraining", "AlbertForMaskedLM", "AlbertForSequenceClassification",
           "AlbertForTokenClassification", "AlbertForQuestionAnswering", "AlbertForMultipleChoice")
SMALL = dict(vocab_size=61, embedding_size=12, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
             max_position_embeddings=64, type_vocab_size=2, num_labels=3, hidden_act="gelu_new")
SHAPES = {
    "plain": {},
    "groups": dict(num_hidden_layers=4, num_hidden_groups=2, hidden_act="gelu", embedding_size=24),
    "inner": dict(inner_group_num=2, num_hidden_layers=4, num_hidden_groups=2, hidden_act="relu"),
    "wide": dict(hidden_size=52, num_attention_heads=2, layer_norm_eps=1e-5, hidden_act="silu", num_hidden_layers=3),
}


# ---------------------------------------------------------------- engines

def run_loaded(path, inputs, kind):
    """Calls the loaded object by name."""
    model = tf.saved_model.load(str(path))
    return [numbers(model(**tensors(feed, kind))) for feed in inputs]


def run_signature(path, inputs, name, kind):
    signature = tf.saved_model.load(str(path)).signatures[name]
    return [numbers(signature(**tensors(feed, kind))) for feed in inputs]


def run_session(path, inputs):
    """As TensorFlow 1 and the C library: graph, saver, signature."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(path))
        signature = meta.signature_def["serving_default"]
        fetches = {name: info.name for name, info in signature.outputs.items()}
        return [session.run(fetches, {signature.inputs[name].name: value for name, value in feed.items()}) for feed in inputs]


def tensors(feed, kind):
    return {name: tf.constant(value, kind) for name, value in feed.items()}


def numbers(outputs):
    return {name: value.numpy() for name, value in outputs.items()}


ENGINES = {
    "load": functools.partial(run_loaded, kind=tf.int64),
    "load int32": functools.partial(run_loaded, kind=tf.int32),
    "serving_default": functools.partial(run_signature, name="serving_default", kind=tf.int32),
    "int64_serving": functools.partial(run_signature, name="int64_serving", kind=tf.int64),
    "session": run_session,
}


def load_in_c(path):
    """TF_LoadSessionFromSavedModel, which restores the variables."""
    library = ctypes.CDLL(next(pathlib.Path(tf.__file__).parent.glob("libtensorflow_cc.so.*")))
    for name in ("TF_NewSessionOptions", "TF_NewGraph", "TF_NewStatus", "TF_LoadSessionFromSavedModel", "TF_Message"):
        getattr(library, name).restype = ctypes.c_void_p
    library.TF_Message.restype = ctypes.c_char_p
    options, graph, status = (ctypes.c_void_p(getattr(library, f"TF_New{what}")()) for what in ("SessionOptions", "Graph", "Status"))
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = library.TF_LoadSessionFromSavedModel(options, None, str(path).encode(), tags, 1, graph, None, status)
    code, message = library.TF_GetCode(status), library.TF_Message(ctypes.c_void_p(status.value))
    assert session and code == 0, f"the C library: {message.decode()}"
    library.TF_DeleteSession(ctypes.c_void_p(session), status)


# ---------------------------------------------------------------- comparison

def export(albert, folder, path, class_name):
    shutil.rmtree(path, ignore_errors=True)
    run(albert, "export", "--model", folder, "--to", "saved-model", "--class", class_name, "--output", path)
    check_structure(path)


def check_structure(path):
    """Signatures, no large constant outside of the variables, no variable twice; the C library loads it."""
    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (meta,) = model.meta_graphs
    assert sorted(meta.signature_def) == ["int64_serving", "serving_default"]
    nodes = list(meta.graph_def.node) + [node for function in meta.graph_def.library.function for node in function.node_def]
    largest = max(node.attr["value"].tensor.ByteSize() for node in nodes if node.op == "Const" and node.attr["dtype"].type != 7)
    assert largest < 512, f"a constant of {largest} bytes"
    reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    names = [name for name in reader.get_variable_to_shape_map() if not name.startswith("_")]
    contents = [content for content in (reader.get_tensor(name).tobytes() for name in names) if len(content) > 512]
    assert len(contents) == len(set(contents)), "a tensor is there twice"
    load_in_c(path)


def compare(path, inputs, expected, keep=False, engines=tuple(ENGINES)):
    """The worst deviation of each engine from `expected`, a list of outputs; every output must be expected."""
    worst = {}
    for engine in engines:
        worst[engine] = 0.0
        for feed, actual, wanted in zip(inputs, ENGINES[engine](path, inputs), expected, strict=True):
            visible = feed["attention_mask"] != 0 if keep else None
            for name, value in actual.items():
                assert name in wanted, f"{engine} gives {name}, expected {sorted(wanted)}"
                worst[engine] = max(worst[engine], deviation(value, wanted[name], visible))
    return worst


def in_tolerances(worst, what=""):
    return {f"{engine}{what}": value / TOLERANCE for engine, value in worst.items()}


def check_golden(albert, scratch, golden):
    path = scratch / "saved"
    folder, feed, expected = golden_in(scratch, golden)
    export(albert, folder, path, golden.class_name)
    if golden.class_name == JOINT:
        return in_tolerances({engine: max(deviations_joint(run_engine(path, [feed])[0], expected).values())
                              for engine, run_engine in ENGINES.items()})
    return in_tolerances(compare(path, [feed], [expected]))


# ---------------------------------------------------------------- new models

def new_model(scratch, class_name, shape, seed):
    """A model of transformers' TensorFlow classes with random variables, and its folder as PyTorch's names have it."""
    config = {**SMALL, **shape}
    if class_name == "AlbertForQuestionAnswering":
        config["num_labels"] = 2
    tf.keras.backend.clear_session()
    config = transformers.AlbertConfig(**config, architectures=[class_name])
    model = getattr(transformers, f"TF{class_name}")(config)
    model(model.dummy_inputs)
    generator, state = np.random.default_rng(seed), {}
    for variable in model.variables:
        scale = 0.2
        value = generator.normal(1.0 if "gamma" in variable.name else 0.0, scale, variable.shape).astype(np.float32)
        variable.assign(value)
        name, transpose = torch_name(variable.name, tf_weight_shape=variable.shape)
        matrix = getattr(transpose, "value", transpose) == "simple"
        state[name.removeprefix("albert.") if class_name == "AlbertModel" else name] = np.ascontiguousarray(value.T if matrix else value)
    folder = scratch / "new"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    config.save_pretrained(folder)
    safetensors.numpy.save_file(state, folder / "model.safetensors", {"format": "pt"})
    return model, folder


def check_new(albert, scratch, class_name, shape, seed):
    model, folder = new_model(scratch, class_name, shape, seed)
    path = scratch / "saved"
    export(albert, folder, path, class_name)
    inputs = batches(model.config.to_dict(), class_name, np.random.default_rng(seed))
    ours = [forward(albert, folder, class_name, feed) for feed in inputs]
    worst = in_tolerances(compare(path, inputs, ours, keep=True), " against albert")
    for feed in inputs:  # a sequence that is hidden whole is another one with TensorFlow's -10000
        hidden = ~feed["attention_mask"].any(-1)
        feed["attention_mask"][hidden] = 1
    theirs = [numbers({name: value for name, value in model(tensors(feed, tf.int32)).items()}) for feed in inputs]
    worst.update(in_tolerances(compare(path, inputs, theirs, engines=["load"]), " against TensorFlow"))
    return {**worst, **check_training(path, model, tensors(inputs[2], tf.int32))}


def loss_of(call, feed, names=None):
    """Squares of all outputs but whole numbers, against numbers that are the same for every call; with the outputs' names."""
    outputs = {name: value for name, value in call(feed).items() if value.dtype == tf.float32 and (names is None or name in names)}
    loss = 0.0
    for name in sorted(outputs):
        value = tf.where(tf.abs(outputs[name]) < 1e20, outputs[name], 0.0)
        target = tf.random.stateless_normal(tf.shape(value), [1, 2])
        loss += tf.reduce_mean(tf.square(value - target))
    return loss, list(outputs)


def check_training(path, model, feed):
    """Gradients through the loaded model, against transformers' where there is `model`; a step along them."""
    loaded = tf.saved_model.load(str(path))
    variables = list(loaded.trainable_variables)
    names = [variable.name for variable in variables]
    with tf.GradientTape() as tape:
        before, outputs = loss_of(lambda feed: loaded(**feed), feed)
    gradients = tape.gradient(before, variables)
    missing = [name for name, gradient in zip(names, gradients) if gradient is None]
    assert variables and not missing, f"no gradient: {missing}"
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    worst = {}
    if model is not None:
        with tf.GradientTape() as tape:
            loss, _ = loss_of(model, feed, outputs)
        wanted = dict(zip([v.name for v in model.trainable_variables], tape.gradient(loss, model.trainable_variables)))
        wanted = {name: tf.convert_to_tensor(gradient) for name, gradient in wanted.items() if gradient is not None}
        assert set(names) == set(wanted), f"other variables: {set(names) ^ set(wanted)}"
        largest = max(float(tf.reduce_max(tf.abs(gradient))) for gradient in wanted.values())
        worst["gradients"] = max(float(tf.reduce_max(tf.abs(gradient - wanted[name]))) for name, gradient in zip(names, gradients)) / largest / GRADIENTS
    square = sum(tf.reduce_sum(tf.square(gradient)) for gradient in gradients)
    for variable, gradient in zip(variables, gradients):
        variable.assign_sub(0.02 * before / square * gradient)
    after, _ = loss_of(lambda feed: loaded(**feed), feed)
    worst["loss after of before"] = float(after / before) / 0.999
    return worst


def check_joint(albert, scratch):
    """The joint head has no class in transformers: `albert forward`, and training."""
    golden = next(golden for golden in goldens() if golden.class_name == JOINT)
    path = scratch / "saved"
    folder, feed, _ = golden_in(scratch, golden)
    export(albert, folder, path, JOINT)
    wanted = forward(albert, folder, JOINT, feed)
    worst = {engine: max(deviations_joint(run_engine(path, [feed])[0], wanted).values()) for engine, run_engine in ENGINES.items()}
    return {**in_tolerances(worst, " against albert"), **check_training(path, None, tensors(feed, tf.int32))}


# ---------------------------------------------------------------- size, and the checks themselves

def check_size(albert, scratch):
    """At most 1.05 times the weights, for the smallest of the usual models."""
    tiny = dict(vocab_size=30000, embedding_size=128, hidden_size=312, num_hidden_layers=4, num_attention_heads=12, intermediate_size=1248,
                max_position_embeddings=512)
    _, folder = new_model(scratch, "AlbertForMaskedLM", tiny, 1)
    path = scratch / "saved"
    export(albert, folder, path, "AlbertForMaskedLM")
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    ratio = size / (folder / "model.safetensors").stat().st_size
    return {f"{ratio:.4f} times the weights, of 1.05": ratio / 1.05}


def check_the_check(albert, scratch):
    """Damaged tensors must be noticed."""
    model, folder = new_model(scratch, "AlbertForMaskedLM", {}, 3)
    inputs = batches(model.config.to_dict(), "AlbertForMaskedLM", np.random.default_rng(3))
    expected = [forward(albert, folder, "AlbertForMaskedLM", feed) for feed in inputs]
    good = safetensors.numpy.load_file(folder / "model.safetensors")
    block, path = "albert.encoder.albert_layer_groups.0.albert_layers.0.", scratch / "saved"
    for name, change in ((f"{block}ffn.weight", 1e-2), ("predictions.decoder.bias", 1e-3), ("albert.embeddings.LayerNorm.bias", 1e-2)):
        bad = {**good, name: good[name].copy()}
        bad[name].flat[0] += change
        safetensors.numpy.save_file(bad, folder / "model.safetensors", {"format": "pt"})
        export(albert, folder, path, "AlbertForMaskedLM")
        for engine, worst in compare(path, inputs, expected, keep=True).items():
            assert worst > 2 * TOLERANCE, f"{engine}: {name} is wrong, and nobody noticed: {worst}"
    return {}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("albert", help="the program")
    parser.add_argument("--only", default="", help="checks whose name has this word")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    albert, check = str(pathlib.Path(arguments.albert).resolve()), Checks(arguments.only)
    print("Deviations are in units of what is allowed.")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for golden in goldens():
            check(f"golden {golden.name}", functools.partial(check_golden, albert, scratch, golden))
        for class_name in CLASSES:
            for seed, (shape, fields) in enumerate(SHAPES.items()):
                check(f"new {class_name} {shape}", functools.partial(check_new, albert, scratch, class_name, fields, seed))
        check(f"new {JOINT}", functools.partial(check_joint, albert, scratch))
        check("size", functools.partial(check_size, albert, scratch))
        check("damaged tensors", functools.partial(check_the_check, albert, scratch))
    print(f"{check.count} checks, {len(check.wrong)} wrong")
    return 1 if check.wrong or not check.count else 0


if __name__ == "__main__":
    sys.exit(main())
