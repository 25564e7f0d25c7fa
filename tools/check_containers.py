"""Reads what `cargo run -p albert-formats --example containers -- FOLDER` wrote, with the libraries of each format.

Usage: python tools/check_containers.py FOLDER
Checks the formats whose libraries are installed (tensorflow and tf-keras, h5py, flax, torch, safetensors) and names the others;
exit code 1 if a value differs or nothing was checked.
"""
import importlib.metadata
import os
import pathlib
import sys

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np

TENSORS = {
    "albert/m/albert/pooler/kernel:0": ("float32", (3, 4)), "albert/m/albert/pooler/bias:0": ("float32", (4,)),
    "albert/m/albert/table/weight:0": ("float64", (300, 70)), "albert/m/half": ("float16", (5,)), "albert/m/long": ("int64", (2, 3, 2)),
    "albert/m/int": ("int32", (7,)), "albert/m/short": ("int16", (7,)), "albert/m/char": ("int8", (3, 1)), "albert/m/byte": ("uint8", (9,)),
    "classifier/bool": ("bool", (4,)), "classifier/scalar": ("float32", ()), "classifier/empty": ("float32", (0, 3)),
    "classifier/brain": ("bfloat16", (6,)),
}


def expected(dtype, shape):
    numbers = np.arange(int(np.prod(shape)))
    numbers = numbers % 2 if dtype == "bool" else numbers if dtype == "uint8" else numbers - 2
    return numbers.astype(np.float64).reshape(shape)


def check(found, without=(), separator="/"):
    names = {name.replace("/", separator): name for name in TENSORS if name not in without}
    assert set(found) == set(names), set(found) ^ set(names)
    for name, (dtype, value) in found.items():
        want, shape = TENSORS[names[name]]
        assert dtype == want, (name, dtype, want)
        value = np.asarray(value, np.float64)
        assert value.shape == shape and (value == expected(want, shape)).all(), name
    return len(found)


def tensorflow(folder):
    import tensorflow as tf

    assert tf.train.latest_checkpoint(str(folder)) == str(folder / "model.ckpt-best")
    new = tf.train.load_checkpoint(str(folder))
    old = tf.compat.v1.train.NewCheckpointReader(str(folder / "model.ckpt-best"))
    for reader in (new, old):
        types = reader.get_variable_to_dtype_map()
        count = check({name: (types[name].name, reader.get_tensor(name)) for name in types})
    names = list(TENSORS)
    # The operation that restores variables; it checks every checksum.
    dtypes = [tf.as_dtype(TENSORS[name][0]) for name in names]
    restored = tf.raw_ops.RestoreV2(prefix=str(folder / "model.ckpt-best"), tensor_names=names, shape_and_slices=[""] * len(names), dtypes=dtypes)
    check({name: (value.dtype.name, value.numpy()) for name, value in zip(names, restored)})
    return count


def h5py(folder):
    import h5py

    with h5py.File(folder / "tf_model.h5", "r") as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: (item.dtype.name, item[()])}) if isinstance(item, h5py.Dataset) else None)
        assert [n.decode() for n in file.attrs["layer_names"]] == ["albert", "dropout_4", "classifier"]
        for layer in file.attrs["layer_names"]:
            for name in file[layer].attrs["weight_names"]:
                assert isinstance(file[layer][name], h5py.Dataset)
        assert len(file["dropout_4"].attrs["weight_names"]) == 0
        backend = file.attrs["backend"]
        assert (backend.decode() if isinstance(backend, bytes) else backend) == "tensorflow"
    return check(found, without=["classifier/brain"])


def tf_keras(folder):
    import tf_keras

    model = tf_keras.Sequential([tf_keras.layers.Dense(2, name="dense", input_shape=(3,))])
    for by_name in (False, True):
        model.set_weights([np.zeros((3, 2)), np.zeros(2)])
        model.load_weights(folder / "dense.h5", by_name=by_name)
        kernel, bias = model.get_weights()
        assert (kernel.ravel() == np.arange(6) - 2).all() and (bias == np.arange(2) - 2).all()
    return 2


def flax(folder):
    import flax.serialization

    found = {}

    def walk(tree, path):
        if isinstance(tree, dict):
            for key, value in tree.items():
                walk(value, (*path, key))
        else:
            found[".".join(path)] = (tree.dtype.name, tree)

    walk(flax.serialization.msgpack_restore((folder / "flax_model.msgpack").read_bytes()), ())
    return check(found, separator=".")


def torch(folder):
    import torch

    found = torch.load(folder / "pytorch_model.bin", weights_only=True)
    mapped = torch.load(folder / "pytorch_model.bin", weights_only=True, mmap=True)
    assert list(found) == list(mapped) and all(torch.equal(found[name], mapped[name]) for name in found)
    tied = found.pop("tied")
    assert tied.data_ptr() == found["albert.m.albert.pooler.kernel:0"].data_ptr()
    return check({name: (str(value.dtype).removeprefix("torch."), value.double().numpy()) for name, value in found.items()}, separator=".")


def safetensors(folder):
    from safetensors import safe_open

    for format in ("tf", "flax"):
        with safe_open(folder / f"{format}.safetensors", "np") as file:
            assert file.metadata() == {"format": format}
            found = {name: file.get_tensor(name) for name in file.keys()}
        count = check({name: (value.dtype.name, value) for name, value in found.items()}, without=["classifier/brain"])
    return count


def main(folder):
    checked = 0
    for library in (tensorflow, h5py, tf_keras, flax, torch, safetensors):
        name = library.__name__
        try:
            version = importlib.metadata.version(name.replace("_", "-"))
        except importlib.metadata.PackageNotFoundError:
            print(f"skipped: {name} is not installed")
            continue
        print(f"{name} {version}: {library(folder)} tensors as written")
        checked += 1
    return 0 if checked else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
