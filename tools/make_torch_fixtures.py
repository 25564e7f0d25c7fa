"""Writes fixtures/torch: small PyTorch files of every form that is read, with what torch sees in them, and some that are refused.

Usage: python tools/make_torch_fixtures.py [OUT]      OUT defaults to fixtures/torch; needs torch 2.13 and safetensors 0.8.

`CASE.bin` is a checkpoint and `CASE.safetensors` its tensors, row-major, as `torch.load` gives them. The keys of storages in the
older format are addresses and a newer archive has a random id, so another run gives other bytes with the same tensors.
Files named `refused_*.bin` have no such sister.
"""
import collections
import io
import pathlib
import pickle
import sys
import zipfile

import torch
from safetensors.torch import save_file


class Tied(torch.nn.Module):
    """Modules in a module, a buffer, and one weight under two names."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(5, 3)
        self.norm = torch.nn.LayerNorm(3)
        self.decoder = torch.nn.Linear(3, 5)
        self.decoder.weight = self.embed.weight
        self.register_buffer("position_ids", torch.arange(6).expand((1, -1)))


class Sum(torch.nn.Module):
    def forward(self, x):
        return x + 1


class Command:
    """A value whose pickle calls os.system."""

    def __reduce__(self):
        import os

        return os.system, ("touch pickle-was-run",)


def types():
    reals = torch.tensor([0.0, -0.0, 1.0, -1.5, 3.140625, 65504.0, float("inf"), float("-inf"), 6e-8])
    wholes = torch.tensor([[0, 1, -1], [127, -128, 5]])
    out = {
        "f32": reals, "f64": reals.double() / 3, "f16": reals.half(), "bf16": reals.bfloat16(),
        "nan": torch.tensor([float("nan"), 1.0]),
        "i64": wholes * 2**40, "i32": (wholes * 2**20).int(), "i16": (wholes * 200).short(), "i8": wholes.char(),
        "u8": wholes.byte(), "bool": wholes > 0,
        "scalar": torch.tensor(2.5), "scalar_i64": torch.tensor(-7),
        "empty": torch.zeros(0), "empty_2d": torch.zeros(3, 0), "empty_i64": torch.zeros(0, 4, dtype=torch.int64),
        "names may hold ünïcode/and.dots": torch.ones(1),
    }
    return out


def views():
    base = torch.arange(60, dtype=torch.float32)
    square = base.view(6, 10)
    cube = base.view(3, 4, 5)
    return {
        "base": base,
        "transposed": square.t(),
        "transposed_bf16": square.bfloat16().t(),
        "transposed_i64": square.long().t(),
        "permuted": cube.permute(2, 0, 1),
        "rows": square[2:5],
        "columns": square[:, 3:7],
        "every_other": base[1::2],
        "stepped": square[::2, ::3],
        "expanded": base[7:8].expand(9),
        "expanded_rows": base[:4].expand(3, 4),
        "expanded_columns": base[:4].view(4, 1).expand(4, 3),
        "overlapping": torch.as_strided(base, (5, 4), (2, 1), 3),
        "one_by_one": square.t()[4:5, 3:4],
        "odd_stride_of_one": torch.as_strided(base, (1, 4), (99, 1), 0),
        "column_as_row": square[:, 2],
        "no_columns": square[:, 10:],
    }


def nested(model):
    optimizer = torch.optim.AdamW(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    return {
        "epoch": 3, "loss": 0.25, "best": None, "done": False, "big": 2**70, "small": -1, "name": "tiny", "history": [1.0, [2, 3]],
        "size": torch.Size([1, 2]), "dtype": torch.float32, "pair": (1, "two"),
        "optimizer_state_dict": optimizer.state_dict(),
        "model_state_dict": model.state_dict(),
    }


def repack(data, edit, level=zipfile.ZIP_STORED, top=None):
    """The archive written anew by Python's zipfile; `edit` maps (name, bytes) to bytes, or None to leave it out."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", level) as new:
        for name in old.namelist():
            contents = edit(name, old.read(name))
            if contents is not None:
                folder, rest = name.split("/", 1)
                new.writestr(f"{top or folder}/{rest}", contents)
    return out.getvalue()


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    model = Tied()
    module = model.state_dict()
    protocols = collections.OrderedDict(weight=torch.arange(6.0).view(2, 3).t(), bias=torch.nn.Parameter(torch.ones(2)))
    parameters = {"a": torch.nn.Parameter(torch.tensor([1.0, 2.0])), "half": torch.nn.Parameter(torch.ones(2, 2).half())}
    cases = {"types": types(), "views": views(), "module": module, "parameters": parameters}
    cases["nested"] = nested(model)

    def save(name, value, **options):
        data = io.BytesIO()
        torch.save(value, data, **options)
        write(name, data.getvalue())

    def write(name, data):
        (out / f"{name}.bin").write_bytes(data)
        read = torch.load(io.BytesIO(data), weights_only=False)
        read = read.get("model_state_dict", read)
        # safetensors refuses views and tensors that share memory.
        expected = out / f"{name}.safetensors"
        save_file({k: torch.clone(v.detach(), memory_format=torch.contiguous_format) for k, v in read.items()}, expected)
        expected.chmod(0o644)

    for name, value in cases.items():
        save(name, value)
        save(f"{name}_legacy", value, _use_new_zipfile_serialization=False)
    for protocol in (3, 4, 5):
        save(f"protocol_{protocol}", protocols, pickle_protocol=protocol)
        save(f"protocol_{protocol}_legacy", protocols, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    save("unsigned", {"u16": torch.tensor([1, 65535], dtype=torch.uint16), "f32": torch.ones(2), "f8": torch.ones(3).to(torch.float8_e4m3fn)})
    whole = (out / "module.bin").read_bytes()
    write("repacked", repack(whole, lambda _, data: data, top="another name"))
    no_order = lambda name, data: None if "byteorder" in name or "/." in name else data
    write("without_byteorder", repack(whole, no_order, top="archive"))

    refused = {
        "compressed": repack(whole, lambda _, data: data, zipfile.ZIP_DEFLATED),
        "big_endian": repack(whole, lambda name, data: b"big" if name.endswith("byteorder") else data),
        "storage_missing": repack(whole, lambda name, data: None if name.endswith("data/1") else data),
        "storage_short": repack(whole, lambda name, data: data[:-1] if name.endswith("data/1") else data),
        "other_zip": repack(whole, lambda name, data: data if name.endswith("version") else None),
    }
    for name, value in {
        "os_system": {"weight": torch.ones(2), "x": Command()},
        "whole_module": torch.nn.Linear(2, 1),
        "sparse": {"x": torch.eye(2).to_sparse()},
        "list": [torch.ones(2)],
        "no_tensors": {"epoch": 3},
        "bytes": {"x": torch.ones(1), "raw": b"ab"},
        "two_state_dicts": {"state_dict": {"x": torch.ones(1)}, "model_state_dict": {"x": torch.ones(1)}},
    }.items():
        data = io.BytesIO()
        torch.save(value, data, pickle_protocol=4 if name == "bytes" else 2)
        refused[name] = data.getvalue()
    data = io.BytesIO()
    torch.save({"x": Command()}, data, _use_new_zipfile_serialization=False)
    refused["os_system_legacy"] = data.getvalue()
    data = io.BytesIO()
    torch.jit.save(torch.jit.trace(Sum(), torch.ones(1)), data)
    # Without where this script lay.
    refused["torchscript"] = repack(data.getvalue(), lambda name, data: None if "debug" in name else data)
    refused["pickle"] = pickle.dumps({"x": 1}, protocol=2)
    for name, data in refused.items():
        (out / f"refused_{name}.bin").write_bytes(data)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "fixtures/torch"))
