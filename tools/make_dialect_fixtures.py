"""Writes fixtures/dialects: small random ALBERTs as other programs write them, with what these programs compute.

Usage: python tools/make_dialect_fixtures.py SECTION [OUT]      SECTION: tensorflow, flax or torch; OUT defaults to fixtures/dialects.
`tensorflow` needs tensorflow 2.21, tf-keras 2.21 and transformers 4.57; `flax` transformers 4.57 with flax 0.7 and jax 0.4;
`torch` needs torch and transformers 5.

Each case is a folder: the checkpoint with its configuration, `inputs.safetensors`, `expected.safetensors` (f32, transformers'
names) and `expected.json` (class and versions). `google_*` are graphs of TensorFlow with the variables of google-research/albert
(its code needs TensorFlow 1.15): same names, shapes and formulas, from modeling.py, run_pretraining.py, classifier_utils.py,
race_utils.py and squad_utils.py; `zh_*` those of the first modeling.py of brightmart/albert_zh. `keras_*`, `flax_*` and `torch_*`
are saved by transformers' classes.
"""
import importlib.metadata
import json
import os
import pathlib
import shutil
import sys

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
from safetensors.numpy import save_file

# No two sizes are equal, so that a wrong orientation has a wrong shape.
SIZES = dict(vocab_size=24, embedding_size=6, hidden_size=8, num_attention_heads=2, num_hidden_layers=3, num_hidden_groups=1,
             inner_group_num=1, intermediate_size=10, max_position_embeddings=14, type_vocab_size=2, hidden_dropout_prob=0.0,
             attention_probs_dropout_prob=0.0, initializer_range=0.02)
BATCH, LENGTH, CHOICES = 2, 12, 3


def inputs_of(choices=False):
    rng = np.random.default_rng(5)
    shape = (BATCH, CHOICES, LENGTH) if choices else (BATCH, LENGTH)
    ids = rng.integers(4, SIZES["vocab_size"], shape)
    mask = np.ones(shape, np.int64)
    mask[-1, ..., -2:] = 0
    types = np.zeros(shape, np.int64)
    types[..., 4:] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def random_values(name, shape, rng):
    noise = rng.normal(size=shape) * 0.3
    return ((1 + noise) if name.split("/")[-1].split(":")[0] in ("gamma", "scale") else noise).astype(np.float32)


def write(folder, cls, inputs, outputs, packages):
    save_file({n: np.array(t, order="C") for n, t in inputs.items()}, folder / "inputs.safetensors")
    save_file({n: np.array(t, np.float32, order="C") for n, t in outputs.items()}, folder / "expected.safetensors")
    versions = {p: importlib.metadata.version(p) for p in packages}
    (folder / "expected.json").write_text(json.dumps({"class": cls, "made_by": "tools/make_dialect_fixtures.py", "versions": versions}, indent=1) + "\n")
    for path in folder.iterdir():
        path.chmod(0o644)


def fresh(out, case):
    folder = out / case
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


# ---- TensorFlow 1: graphs with Google's variables -------------------------------------------------------------------------------

class Graph:
    """Layers over variables with random values, in the scopes in which Google's code makes them."""

    def __init__(self, tf, sizes, inputs):
        self.tf, self.v1, self.s = tf, tf.compat.v1, sizes
        self.rng = np.random.default_rng(11)
        flat = {n: t.reshape(-1, t.shape[-1]) for n, t in inputs.items()}
        self.ids, self.mask, self.types = (tf.constant(flat[n]) for n in ("input_ids", "attention_mask", "token_type_ids"))

    def scope(self, name):
        return self.v1.variable_scope(name, reuse=self.v1.AUTO_REUSE)

    def variable(self, name, *shape):
        full = f"{self.v1.get_variable_scope().name}/{name}"
        return self.v1.get_variable(name, shape, initializer=lambda shape, **_: self.tf.constant(random_values(full, shape, self.rng)))

    def dense(self, x, size, name, activation=None, bias=True):
        with self.scope(name):
            kernel = self.variable("kernel", x.shape[-1], size)
            y = self.tf.tensordot(x, kernel, 1)
            y = y + self.variable("bias", size) if bias else y
        return activation(y) if activation else y

    def norm(self, x, name="LayerNorm"):
        with self.scope(name):
            gamma, beta = self.variable("gamma", x.shape[-1]), self.variable("beta", x.shape[-1])
        mean, variance = self.tf.nn.moments(x, -1, keepdims=True)
        return (x - mean) / self.tf.sqrt(variance + 1e-12) * gamma + beta

    def gelu(self, x):
        return 0.5 * x * (1 + self.tf.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + 0.044715 * x**3)))

    def attention(self, x):
        """Of [B, S, H]: three layers `query`, `key`, `value`, and what they attend to."""
        tf, heads = self.tf, self.s["num_attention_heads"]
        batch, length, hidden = x.shape
        split = lambda y: tf.transpose(tf.reshape(y, (batch, length, heads, hidden // heads)), (0, 2, 1, 3))
        q, k, v = (split(self.dense(x, hidden, name)) for name in ("query", "key", "value"))
        scores = tf.matmul(q, k, transpose_b=True) / np.float32(np.sqrt(hidden // heads))
        scores += (1 - tf.cast(self.mask, tf.float32))[:, None, None, :] * -10000.0
        return tf.reshape(tf.transpose(tf.matmul(tf.nn.softmax(scores), v), (0, 2, 1, 3)), (batch, length, hidden))

    def block(self, x):
        hidden = x.shape[-1]
        with self.scope("attention_1"):
            with self.scope("self"):
                context = self.attention(x)
            with self.scope("output"):
                context = self.dense(context, hidden, "dense")
        x = self.norm(context + x)
        with self.scope("ffn_1/intermediate"):
            y = self.dense(x, self.s["intermediate_size"], "dense", self.gelu)
            with self.scope("output"):
                y = self.dense(y, hidden, "dense")
        return self.norm(y + x, "LayerNorm_1")

    def bert(self):
        tf, s = self.tf, self.s
        with self.scope("bert"):
            with self.scope("embeddings"):
                self.words = self.variable("word_embeddings", s["vocab_size"], s["embedding_size"])
                x = tf.gather(self.words, self.ids)
                x += tf.gather(self.variable("token_type_embeddings", s["type_vocab_size"], s["embedding_size"]), self.types)
                x += self.variable("position_embeddings", s["max_position_embeddings"], s["embedding_size"])[: x.shape[1]]
                x = self.norm(x)
            with self.scope("encoder"):
                if s["embedding_size"] != s["hidden_size"]:
                    x = self.dense(x, s["hidden_size"], "embedding_hidden_mapping_in")
                with self.scope("transformer"):
                    for layer in range(s["num_hidden_layers"]):
                        with self.scope(f"group_{int(layer / s['num_hidden_layers'] * s['num_hidden_groups'])}"):
                            for inner in range(s["inner_group_num"]):
                                with self.scope(f"inner_group_{inner}"):
                                    x = self.block(x)
            with self.scope("pooler"):
                pooled = self.dense(x[:, 0], s["hidden_size"], "dense", tf.tanh)
        return x, pooled

    def zh(self):
        """The network of albert_zh: a BERT whose layers share their weights, and a word table in two factors."""
        tf, s = self.tf, self.s
        hidden = s["hidden_size"]
        with self.scope("bert"):
            with self.scope("embeddings"):
                self.words = self.variable("word_embeddings", s["vocab_size"], s["embedding_size"])
                self.projection = self.variable("word_embeddings_2", s["embedding_size"], hidden)
                x = tf.tensordot(tf.gather(self.words, self.ids), self.projection, 1)
                x += tf.gather(self.variable("token_type_embeddings", s["type_vocab_size"], hidden), self.types)
                x += self.variable("position_embeddings", s["max_position_embeddings"], hidden)[: x.shape[1]]
                x = self.norm(x)
            with self.scope("encoder"):
                for _ in range(s["num_hidden_layers"]):
                    with self.scope("layer_shared"):
                        with self.scope("attention"):
                            with self.scope("self"):
                                context = self.attention(x)
                            with self.scope("output"):
                                x = self.norm(self.dense(context, hidden, "dense") + x)
                        with self.scope("intermediate"):
                            y = self.dense(x, s["intermediate_size"], "dense", self.gelu)
                        with self.scope("output"):
                            x = self.norm(self.dense(y, hidden, "dense") + x)
            with self.scope("pooler"):
                pooled = self.dense(x[:, 0], hidden, "dense", tf.tanh)
        return x, pooled

    def rows(self, x, count):
        """Logits of `output_weights` [C, H] and `output_bias`."""
        return self.tf.tensordot(x, self.variable("output_weights", count, x.shape[-1]), [[-1], [1]]) + self.variable("output_bias", count)

    def pretraining(self, x, pooled, width, project=lambda z: z):
        with self.scope("cls/predictions"):
            with self.scope("transform"):
                z = self.norm(self.dense(x, width, "dense", self.gelu))
            logits = self.tf.tensordot(project(z), self.words, [[-1], [1]]) + self.variable("output_bias", self.s["vocab_size"])
        with self.scope("cls/seq_relationship"):
            return {"prediction_logits": logits, "sop_logits": self.rows(pooled, 2)}

    def squad2(self, x, top=5):
        tf = self.tf
        batch, length, hidden = x.shape
        inside = self.mask * self.types
        last = tf.one_hot(tf.reduce_sum(self.mask, -1) - 1, length, dtype=tf.int64)
        allowed = inside * (1 - last) + tf.one_hot(tf.zeros(batch, tf.int64), length, dtype=tf.int64)
        hide = lambda logits, allowed: logits * allowed - 1e30 * (1 - allowed)
        allowed = tf.cast(allowed, tf.float32)
        with self.scope("start_logits"):
            start = hide(self.dense(x, 1, "dense")[..., 0], allowed)
        start_log, start_index = tf.nn.top_k(tf.nn.log_softmax(start), top)
        with self.scope("end_logits"):
            first = tf.gather(x, start_index, batch_dims=1)  # [B, K, H]
            pairs = tf.concat([tf.tile(x[:, :, None], (1, 1, top, 1)), tf.tile(first[:, None], (1, length, 1, 1))], -1)
            end = self.norm(self.dense(pairs, hidden, "dense_0", tf.tanh))
            end = tf.transpose(self.dense(end, 1, "dense_1")[..., 0], (0, 2, 1))
        end_log, end_index = tf.nn.top_k(tf.nn.log_softmax(hide(end, allowed[:, None])), top)
        with self.scope("answer_class"):
            mean = tf.einsum("blh,bl->bh", x, tf.nn.softmax(start))
            answer = self.dense(tf.concat([mean, x[:, 0]], -1), hidden, "dense_0", tf.tanh)
            none = self.dense(answer, 1, "dense_1", bias=False)[:, 0]
        flat = lambda t: tf.reshape(t, (batch, top * top))
        return {"start_top_log_probs": start_log, "start_top_index": start_index, "end_top_log_probs": flat(end_log),
                "end_top_index": flat(end_index), "cls_logits": none}


def google(out):
    import tensorflow as tf

    def case(name, cls, heads, sizes=SIZES, prefix="", slots=False, stem="model.ckpt-best", choices=False, config="albert_config.json",
             extra={}):
        folder, inputs = fresh(out, name), inputs_of(choices)
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            graph = Graph(tf, sizes, inputs)
            if prefix:
                with graph.scope(prefix):
                    outputs = heads(graph)
            else:
                outputs = heads(graph)
            if slots:
                for variable in tf.compat.v1.trainable_variables():
                    for slot in ("adam_m", "adam_v"):
                        tf.compat.v1.get_variable(f"{variable.op.name}/{slot}", variable.shape, initializer=tf.zeros_initializer(), trainable=False)
                tf.compat.v1.train.get_or_create_global_step()
            session.run(tf.compat.v1.global_variables_initializer())
            tf.compat.v1.train.Saver().save(session, str(folder / stem), write_meta_graph=False)
            outputs = session.run(outputs)
        state = folder / "checkpoint"  # as in a folder that was moved
        state.write_text(state.read_text().replace(str(folder), "/home/user/albert"))
        (folder / config).write_text(json.dumps(sizes | {"hidden_act": "gelu"} | extra, indent=2, sort_keys=True) + "\n")
        write(folder, cls, inputs, outputs, ["tensorflow"])

    many = SIZES | dict(num_hidden_layers=4, num_hidden_groups=2, inner_group_num=2)
    case("google_pretraining", "AlbertForPreTraining", lambda g: g.pretraining(*g.bert(), SIZES["embedding_size"]), many, slots=True)
    base = lambda g: dict(zip(("last_hidden_state", "pooler_output"), g.bert()))
    case("google_hub", "AlbertModel", base, prefix="module")
    case("google_equal", "AlbertModel", base, SIZES | dict(embedding_size=8))
    case("google_classifier", "AlbertForSequenceClassification", lambda g: {"logits": g.rows(g.bert()[1], 3)}, slots=True, stem="model.ckpt-30")
    race = lambda g: {"logits": tf.reshape(g.rows(g.bert()[1], 1), (BATCH, CHOICES))}
    case("google_race", "AlbertForMultipleChoice", race, choices=True)

    def squad1(g):
        x, _ = g.bert()
        with g.scope("cls/squad"):
            logits = g.rows(x, 2)
        return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}

    case("google_squad1", "AlbertForQuestionAnswering", squad1)
    case("google_squad2", "AlbertForJointQuestionAnswering", lambda g: g.squad2(g.bert()[0]))
    zh = lambda g: g.pretraining(*g.zh(), SIZES["hidden_size"], lambda z: tf.tensordot(z, g.projection, [[-1], [1]]))
    extra = dict(directionality="bidi", pooler_fc_size=768, pooler_type="first_token_transform", ln_type="postln")
    case("zh_pretraining", "AlbertForPreTraining", zh, stem="albert_model.ckpt", config="albert_config_tiny.json", extra=extra)


# ---- transformers' classes --------------------------------------------------------------------------------------------------

CLASSES = {
    "model": "AlbertModel", "masked_lm": "AlbertForMaskedLM", "pretraining": "AlbertForPreTraining",
    "classifier": "AlbertForSequenceClassification", "tagger": "AlbertForTokenClassification",
    "answers": "AlbertForQuestionAnswering", "choice": "AlbertForMultipleChoice",
}


def config_of(case):
    from transformers import AlbertConfig

    groups = dict(num_hidden_layers=4, num_hidden_groups=2) if case.endswith("pretraining") else {}
    labels = 3 if case.endswith(("classifier", "tagger")) else 2
    return AlbertConfig(**(SIZES | groups | dict(hidden_act="gelu_new", num_labels=labels)))


def outputs_of(output):
    skip = ("loss", "hidden_states", "attentions")
    return {n: np.asarray(t) for n, t in output.items() if n not in skip and t is not None}


def keep(folder, *beginnings):
    for path in folder.iterdir():
        if not path.name.startswith(("config.json", *beginnings)):
            path.unlink()


def keras(out):
    import tensorflow as tf
    import transformers

    def model_of(kind, build=None):
        rng = np.random.default_rng(3)
        model = getattr(transformers, "TF" + CLASSES[kind])(config_of(kind))
        model.build_in_name_scope() if build is None else build(model)
        for weight in model.weights:
            weight.assign(random_values(weight.name, weight.shape, rng))
        return model

    def case(name, kind, save, files, build=None):
        folder, inputs = fresh(out, name), inputs_of(kind == "choice")
        model = model_of(kind, build)
        save(model, folder)
        keep(folder, *files)
        outputs = outputs_of(model({n: tf.constant(t) for n, t in inputs.items()}))
        write(folder, CLASSES[kind], inputs, outputs, ["tensorflow", "tf-keras", "transformers", "h5py"])

    for kind in CLASSES:
        case(f"keras_{kind}", kind, lambda model, folder: model.save_pretrained(folder), ["tf_model"])
    case("keras_safetensors", "masked_lm", lambda model, folder: model.save_pretrained(folder, safe_serialization=True), ["model"])
    case("keras_sharded", "masked_lm", lambda model, folder: model.save_pretrained(folder, max_shard_size="2KB"), ["tf_model"])
    # Built by itself, the names in the file do not begin with that of the model.
    case("keras_built", "masked_lm", lambda model, folder: model.save_pretrained(folder), ["tf_model"], lambda model: model.build())


def flax(out):
    import jax
    import transformers

    def case(name, kind, safe):
        folder, inputs = fresh(out, name), inputs_of(kind == "choice")
        model = getattr(transformers, "Flax" + CLASSES[kind])(config_of(kind), seed=1)
        rng = np.random.default_rng(3)
        named = lambda path, leaf: random_values(str(path[-1].key), leaf.shape, rng)
        model.params = jax.tree_util.tree_map_with_path(named, model.params)
        model.save_pretrained(folder, safe_serialization=safe)
        keep(folder, "model" if safe else "flax_model")
        write(folder, CLASSES[kind], inputs, outputs_of(model(**inputs)), ["transformers", "flax", "jax"])

    for kind in ("model", "pretraining", "classifier", "answers"):
        case(f"flax_{kind}", kind, False)
    case("flax_safetensors", "masked_lm", True)


def torch(out):
    import torch
    import transformers

    for kind in ("pretraining", "masked_lm"):
        folder, inputs = fresh(out, f"torch_{kind}"), inputs_of()
        model = getattr(transformers, CLASSES[kind])(config_of(kind)).eval()
        rng = np.random.default_rng(3)
        with torch.no_grad():
            for name, tensor in model.named_parameters():
                norm = "orm.weight" in name
                tensor.copy_(torch.tensor(random_values("gamma" if norm else name, tensor.shape, rng)))
            outputs = outputs_of(model(**{n: torch.tensor(t) for n, t in inputs.items()}))
        model.config.architectures = [CLASSES[kind]]
        model.config.save_pretrained(folder)
        # As transformers 4 does with safe_serialization=False; 5 writes safetensors alone.
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        write(folder, CLASSES[kind], inputs, outputs, ["transformers", "torch"])


SECTIONS = {"tensorflow": [google, keras], "flax": [flax], "torch": [torch]}

if __name__ == "__main__":
    out = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parents[1] / "fixtures/dialects")
    for make in SECTIONS[sys.argv[1]]:
        make(out)
