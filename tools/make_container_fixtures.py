"""Writes fixtures/containers: small checkpoints of TensorFlow, h5py, Keras and Flax, with what these libraries see in them.

Usage: python tools/make_container_fixtures.py [OUT]      OUT defaults to fixtures/containers.
Needs tensorflow 2.21, tf-keras 2.21, h5py 3.14, flax 0.12, transformers 4.57 and safetensors 0.8.

`CASE.safetensors` holds the tensors of the checkpoint CASE (`CASE.index` with its data, `CASE.h5`, `CASE.msgpack`, or a folder)
under the names that we give them; `order.json` maps cases of HDF5 to Keras' lists. Files named `refused_*` have no such sister.
"""
import json
import os
import pathlib
import shutil
import sys

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import flax.serialization
import h5py
import ml_dtypes
import numpy as np
import tensorflow as tf
from safetensors.numpy import save_file

SIZES = dict(vocab_size=11, embedding_size=3, hidden_size=4, num_attention_heads=2, num_hidden_layers=2, intermediate_size=6,
             max_position_embeddings=7, type_vocab_size=2, classifier_dropout_prob=0.0)


def types():
    reals = np.array([0.0, -0.0, 1.0, -1.5, 3.140625, 65504.0, np.inf, -np.inf, 6e-8], np.float32)
    wholes = np.array([[0, 1, -1], [127, -128, 5]], np.int64)
    return {
        "f32": reals, "f64": reals.astype(np.float64) / 3, "f16": reals.astype(np.float16),
        "i64": wholes * 2**40, "i32": (wholes * 2**20).astype(np.int32), "i16": (wholes * 200).astype(np.int16),
        "i8": wholes.astype(np.int8), "u8": wholes.astype(np.uint8), "bool": wholes > 0,
        "scalar": np.float32(2.5).reshape(()), "empty": np.zeros((3, 0), np.float32),
        "deep/er/kernel": np.arange(12, dtype=np.float32).reshape(3, 4), "deep/er/bias": np.ones(4, np.float32),
        "cube": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    }


def expect(out, case, tensors):
    tensors = {k: np.array(v, order="C") for k, v in tensors.items()}
    save_file(tensors, out / f"{case}.safetensors")
    (out / f"{case}.safetensors").chmod(0o644)


def save_tf(prefix, tensors, slices=None):
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=list(tensors), tensors=list(tensors.values()),
                      shape_and_slices=slices or [""] * len(tensors))


def numbers_of(prefix):
    reader = tf.train.load_checkpoint(str(prefix))
    dtypes = reader.get_variable_to_dtype_map()
    return {n: reader.get_tensor(n) for n in dtypes if dtypes[n] != tf.string}


def tensorflow(out):
    tensors = dict(types(), bf16=types()["f32"].astype(ml_dtypes.bfloat16))
    many = {f"bert/encoder/layer_{n}/kernel": np.full((n % 3, 2), n, np.float32) for n in range(40)}
    save_tf(out / "tf_types", tensors)
    save_tf(out / "part_0", tensors)
    save_tf(out / "part_1", many)
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=[str(out / "part_0"), str(out / "part_1")], destination_prefix=str(out / "tf_merged"))
    variable = tf.Variable([[1.0, 2.0]], name="v")
    tf.train.Checkpoint(dense={"kernel": variable}, step=tf.Variable(7, dtype=tf.int64)).write(str(out / "tf_objects"))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in {"bert/pooler/dense/kernel": np.arange(6.0).reshape(2, 3), "bert/pooler/dense/bias": np.ones(3)}.items():
            tf.compat.v1.get_variable(name, initializer=tf.constant(value, tf.float32))
        session.run(tf.compat.v1.global_variables_initializer())
        folder = out / "tf_saver"
        folder.mkdir(exist_ok=True)
        tf.compat.v1.train.Saver().save(session, str(folder / "model.ckpt-best"), write_meta_graph=False)
        listed = folder / "checkpoint"  # a path that is not there, as in a folder that was moved
        listed.write_text(listed.read_text().replace(str(folder), "/home/user/albert"))
    for case, prefix in {"tf_types": "tf_types", "tf_merged": "tf_merged", "tf_objects": "tf_objects",
                         "tf_saver": "tf_saver/model.ckpt-best"}.items():
        expect(out, case, numbers_of(out / prefix))
    save_tf(out / "refused_partitioned", {"v": np.ones((2, 3), np.float32)}, ["4 3 0,2:-"])


def walk(path):
    """All numbers in an HDF5 file by their paths; one object may have several."""
    found = {}

    def see(group, before):
        for name in group:
            item = group[name]
            if isinstance(group.get(name, getlink=True), h5py.SoftLink):
                continue
            if isinstance(item, h5py.Group):
                see(item, f"{before}{name}/")
            elif item.dtype.kind in "fiub" and item.dtype.byteorder != ">":
                found[before + name] = item[()]

    with h5py.File(path, "r") as file:
        see(file, "")
    return found


def hdf5(out):
    order = {}
    for suffix, options in {"": {}, "_latest": {"libver": "latest"}}.items():
        with h5py.File(out / f"h5_types{suffix}.h5", "w", **options) as file:
            for name, value in types().items():
                file[name] = value
            file["text"] = "a text"
            file["texts"] = np.array([b"a", b"bc"])
            file["big_endian"] = np.arange(3, dtype=">f4")
            file.attrs["backend"] = "tensorflow"
            file.attrs["keras_version"] = np.bytes_(b"2.21.0")
            file.attrs["numbers"] = np.arange(3)
        with h5py.File(out / f"h5_chunked{suffix}.h5", "w", **options) as file:
            table = np.arange(7 * 10, dtype=np.float32).reshape(7, 10) / 3
            file.create_dataset("plain", data=table, chunks=(3, 4))
            file.create_dataset("gzip", data=table, chunks=(3, 4), compression="gzip")
            file.create_dataset("shuffled", data=table.astype(np.float64), chunks=(2, 10), compression="gzip", shuffle=True)
            file.create_dataset("one", data=table, chunks=(7, 10), compression="gzip")
            file.create_dataset("one_plain", data=table, chunks=(7, 10))
            file.create_dataset("cube", data=np.arange(60, dtype=np.int16).reshape(3, 4, 5), chunks=(2, 3, 2), compression="gzip")
            file.create_dataset("row", data=np.arange(9, dtype=np.uint8), chunks=(4,))
        # Many links and attributes, in the forms for many of each; lists in pieces.
        with h5py.File(out / f"h5_many{suffix}.h5", "w", **options) as file:
            names = [f"layer_with_a_rather_long_name_{n:03}" for n in range(60)]
            for piece in range(3):  # layer_names0, …
                file.attrs[f"layer_names{piece}"] = np.array([n.encode() for n in names[piece * 20:piece * 20 + 20]])
            for n in range(30):
                file.attrs[f"attribute_{n}"] = f"value {n}"
            for n, name in enumerate(names):
                group = file.create_group(name)
                group.attrs["weight_names"] = ["w:0"] if n % 2 else np.array([b"w:0"])
                group["w:0"] = np.float32([n])
    with h5py.File(out / "h5_compact.h5", "w") as file:
        space = h5py.h5s.create_simple((2, 2))
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        dataset = h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, space, plist)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.float32([[1, 2], [3, 4]]))
        file["again"] = file["compact"]
        file["soft"] = h5py.SoftLink("/compact")
    with h5py.File(out / "refused_lzf.h5", "w") as file:
        file.create_dataset("x", data=np.zeros(100, np.float32), compression="lzf")
    with h5py.File(out / "refused_growing.h5", "w", libver="latest") as file:
        file.create_dataset("x", data=np.zeros(100, np.float32), chunks=(10,), maxshape=(None,))
    with h5py.File(out / "refused_loop.h5", "w") as file:
        file["x"] = np.ones(2, np.float32)
        group = file.create_group("a")
        group["again"] = file["/"]
    with h5py.File(out / "refused_missing.h5", "w") as file:
        file["a/x"] = np.ones(2, np.float32)
        file.attrs["layer_names"] = np.array([b"a", b"b"])

    from transformers import AlbertConfig, TFAlbertForMaskedLM

    tf.keras.utils.set_random_seed(1)
    model = TFAlbertForMaskedLM(AlbertConfig(**SIZES))
    # As from_pretrained builds it: names begin with that of the model.
    model.build_in_name_scope()
    model.save_weights(out / "keras.h5")
    shards = out / "keras_sharded"
    model.save_pretrained(shards, max_shard_size="1KB")
    for file in shards.iterdir():
        if not file.name.startswith("tf_model"):
            file.unlink()
    found = {}
    for file in shards.glob("*.h5"):
        found.update(walk(file))
    expect(out, "keras_sharded", found)
    for path in sorted(out.glob("*.h5")):
        if path.name.startswith("refused"):
            continue
        expect(out, path.stem, walk(path))
        with h5py.File(path, "r") as file:
            text = lambda x: x.decode() if isinstance(x, bytes) else str(x)
            if "layer_names" in file.attrs:
                layers = [text(n) for n in file.attrs["layer_names"]]
                order[path.stem] = {n: [text(w) for w in file[n].attrs["weight_names"]] for n in layers}
    (out / "order.json").write_text(json.dumps(order, indent=1) + "\n")


def flat(tree, path=()):
    if isinstance(tree, dict):
        return {k: v for key, value in tree.items() for k, v in flat(value, (*path, key)).items()}
    return {".".join(path): np.asarray(tree)} if isinstance(tree, (np.ndarray, np.generic)) else {}


def msgpack(out):
    tree = {k: v for k, v in types().items() if "/" not in k}
    tree = {"params": tree | {"bf16": types()["f32"].astype(ml_dtypes.bfloat16), "deep": {"er": {"kernel": np.ones((2, 3), np.float32)}}},
            "step": 7, "rate": 0.5, "name": "flax", "done": False, "nothing": None, "half": np.float16(0.5), "list": [np.ones(2), 3],
            "complex": 1 + 2j, "negative": -70000, "large": 2**63}
    for case, limit in {"flax_types": 2**30, "flax_chunked": 16}.items():
        flax.serialization.MAX_CHUNK_SIZE = limit
        data = flax.serialization.to_bytes(tree)
        (out / f"{case}.msgpack").write_bytes(data)
        expect(out, case, flat(flax.serialization.msgpack_restore(data)))
    flax.serialization.MAX_CHUNK_SIZE = 2**30

    from transformers import AlbertConfig
    import jax

    try:
        from transformers import FlaxAlbertForMaskedLM
        model = FlaxAlbertForMaskedLM(AlbertConfig(**SIZES), seed=1)
        params = jax.tree_util.tree_map(np.asarray, model.params)
    except Exception as error:
        # transformers 4.57 asks for an older jax; its file is this call on such a tree.
        print("FlaxAlbertForMaskedLM:", type(error).__name__, error)
        rng = np.random.default_rng(1)
        dense = lambda a, b: {"kernel": rng.normal(size=(a, b)).astype(np.float32), "bias": np.zeros(b, np.float32)}
        norm = lambda n: {"scale": np.ones(n, np.float32), "bias": np.zeros(n, np.float32)}
        attention = {n: dense(4, 4) for n in ("query", "key", "value", "dense")} | {"LayerNorm": norm(4)}
        layer = {"attention": attention, "ffn": dense(4, 6), "ffn_output": dense(6, 4), "full_layer_layer_norm": norm(4)}
        table = lambda n: {"embedding": rng.normal(size=(n, 3)).astype(np.float32)}
        embeddings = {"word_embeddings": table(11), "position_embeddings": table(7), "token_type_embeddings": table(2), "LayerNorm": norm(3)}
        encoder = {"embedding_hidden_mapping_in": dense(3, 4), "albert_layer_groups": {"0": {"albert_layers": {"0": layer}}}}
        params = {"albert": {"embeddings": embeddings, "encoder": encoder},
                  "predictions": {"bias": np.zeros(11, np.float32), "dense": dense(4, 3), "LayerNorm": norm(3)}}
    data = flax.serialization.to_bytes(params)
    (out / "flax_model.msgpack").write_bytes(data)
    expect(out, "flax_model", flat(flax.serialization.msgpack_restore(data)))


def main(out):
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    tensorflow(out)
    hdf5(out)
    msgpack(out)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "fixtures/containers"))
