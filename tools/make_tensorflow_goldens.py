"""Writes fixtures/tensorflow: what transformers' TensorFlow classes compute that its other classes do not, and their losses.

Usage: python tools/make_tensorflow_goldens.py [OUT]      OUT defaults to fixtures/tensorflow.
Needs tensorflow 2.21, tf-keras 2.21, transformers 4.57 and h5py.

The layout is that of make_dialect_fixtures.py: a checkpoint by the class itself, `inputs.safetensors` (labels among them),
`expected.safetensors` (f32: outputs, `loss`, `hidden_states.0` ..., `attentions.0` ...) and `expected.json`. Facts that the cases pin:
- a masked key gets (1 - mask) * -10000: a sequence that is hidden whole attends as without a mask, fractions are linear;
- masked positions have outputs; hidden states are L + 1, attentions L * N;
- losses of MaskedLM, PreTraining and TokenClassification are means over the labelled tokens, of shape [1]; those of the other
  classes have the shape [B]. With one label it is the squared error. With `tf_legacy_loss` they are those of each labelled token.
"""
import pathlib
import sys

from make_dialect_fixtures import CHOICES, SIZES, fresh, inputs_of, keep, random_values, write

import numpy as np

MODEL, WORDS, BOTH = "AlbertModel", "AlbertForMaskedLM", "AlbertForPreTraining"
TEXTS, TOKENS = "AlbertForSequenceClassification", "AlbertForTokenClassification"
ANSWERS, CHOICE = "AlbertForQuestionAnswering", "AlbertForMultipleChoice"
GROUPS = dict(num_hidden_layers=4, num_hidden_groups=2, inner_group_num=2)
PACKAGES = ["tensorflow", "tf-keras", "transformers", "h5py"]


def ragged(batch=4, length=12, choices=None):
    """Nothing masked, padding on the right and on the left, a hole with the first token."""
    rng = np.random.default_rng(17)
    shape = (batch, length) if choices is None else (batch, choices, length)
    mask = np.ones(shape, np.int64)
    mask[1, ..., -5:] = 0
    mask[2, ..., :3] = 0
    mask[3, ..., [0, 4, 5]] = 0
    return {"input_ids": rng.integers(4, SIZES["vocab_size"], shape), "attention_mask": mask, "token_type_ids": rng.integers(0, 2, shape)}


def hidden_whole():
    inputs = ragged()
    inputs["attention_mask"][2] = 0
    return inputs


def fractions():
    inputs = ragged()
    mask = inputs["attention_mask"].astype(np.float32)
    mask[0, 3], mask[1, 1], mask[3, 4] = 0.9999, 0.9998, 1.0001
    return {**inputs, "attention_mask": mask}


def positions():
    inputs = ragged()
    return {**inputs, "position_ids": np.random.default_rng(2).integers(0, SIZES["max_position_embeddings"], inputs["input_ids"].shape)}


def embeds():
    inputs = ragged()
    shape = (*inputs.pop("input_ids").shape, SIZES["embedding_size"])
    return {**inputs, "inputs_embeds": np.random.default_rng(4).normal(size=shape).astype(np.float32)}


def labelled(ignored, classes, **more):
    """A label for every token; some are ignored, not all of them masked."""
    inputs = ragged()
    labels = np.random.default_rng(8).integers(0, classes, inputs["input_ids"].shape)
    labels[:, ::3] = ignored
    labels[1] = ignored
    labels[1, -2:] = 1
    return {**inputs, "labels": labels, **{name: np.array(values) for name, values in more.items()}}


def of_texts(**labels):
    return {**ragged(), **{name: np.array(values) for name, values in labels.items()}}


# Name: class, inputs, changes of the configuration, and whether the file is tf_model.h5 (else model.safetensors, which is smaller).
CASES = {
    "model": (MODEL, ragged(), GROUPS, True),
    "gelu": (MODEL, ragged(), dict(hidden_act="gelu", embedding_size=8), False),
    "hidden_whole": (MODEL, hidden_whole(), {}, False),
    "fractions": (MODEL, fractions(), {}, False),
    "positions": (MODEL, positions(), {}, False),
    "embeds": (MODEL, embeds(), {}, False),
    "masked_lm": (WORDS, labelled(-100, SIZES["vocab_size"]), {}, True),
    "masked_lm_legacy": (WORDS, labelled(-100, SIZES["vocab_size"]), dict(tf_legacy_loss=True), False),
    "pretraining": (BOTH, labelled(-100, SIZES["vocab_size"], sentence_order_label=[0, 1, -100, 1]), {}, False),
    "pretraining_legacy": (BOTH, labelled(-100, SIZES["vocab_size"], sentence_order_label=[-100, 1, -100, 0]), dict(tf_legacy_loss=True), False),
    "classes": (TEXTS, of_texts(labels=[2, 0, 1, 1]), dict(num_labels=3), True),
    "regression": (TEXTS, of_texts(labels=np.array([0.5, -1, 2, 0.25], np.float32)), dict(num_labels=1), False),
    "tokens": (TOKENS, labelled(-7, 3), dict(num_labels=3), False),
    "tokens_legacy": (TOKENS, labelled(-1, 3), dict(num_labels=3, tf_legacy_loss=True), False),
    "answers": (ANSWERS, of_texts(start_positions=[0, 4, 11, 3], end_positions=[5, 4, 11, 0]), {}, False),
    "choices": (CHOICE, {**ragged(choices=CHOICES), "labels": np.array([2, 0, 1, 1])}, {}, False),
    # Without labels, and without what may be left out.
    "ids_alone": (WORDS, {"input_ids": inputs_of()["input_ids"]}, dict(hidden_act="relu"), False),
}


def outputs_of(output):
    outputs = {}
    for name, value in output.items():
        values = enumerate(value) if isinstance(value, tuple) else [(None, value)]
        outputs.update({name if i is None else f"{name}.{i}": np.asarray(array) for i, array in values})
    return outputs


def main(out):
    import tensorflow as tf
    import transformers

    for name, (cls, inputs, changes, hdf5) in CASES.items():
        tf.keras.backend.clear_session()
        folder, rng = fresh(out, name), np.random.default_rng(3)
        config = transformers.AlbertConfig(**{**SIZES, "hidden_act": "gelu_new", **changes})
        model = getattr(transformers, "TF" + cls)(config)
        model.build_in_name_scope()
        for weight in model.weights:
            weight.assign(random_values(weight.name, weight.shape, rng))
        model.save_pretrained(folder, safe_serialization=not hdf5)
        keep(folder, "tf_model" if hdf5 else "model")
        feed = {key: tf.constant(value) for key, value in inputs.items()}
        write(folder, cls, inputs, outputs_of(model(feed, output_hidden_states=True, output_attentions=True)), PACKAGES)
        about = folder / "expected.json"
        about.write_text(about.read_text().replace("make_dialect_fixtures", "make_tensorflow_goldens"))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "fixtures/tensorflow"))
