"""What `albert export` writes beside what PyTorch and ONNX Runtime's quantiser write of the same encoder: size, error, speed.

Usage: python tools/onnx_peers.py MODEL ALBERT [--threads 2] [--rounds 5] [--shapes 1x16,1x128,8x128] [--sizes-only]
MODEL is a folder that transformers 5 reads, ALBERT the program. Needs torch, transformers, onnx, onnxruntime and openvino.
The class is AlbertModel without its pooler, as PyTorch's export has it. Runs take turns; a cell is the median, and the least, in
milliseconds. Errors are relative root mean squares against transformers in f64 on random tokens. Memory is what a process that
opens and runs the file once, 1 x 16 tokens, has at its peak beyond one that has imported the library.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def batch(rows, length, words):
    ids = np.random.default_rng(rows * length).integers(5, words, (rows, length))
    return dict(zip(INPUTS, (ids, np.ones_like(ids), np.zeros_like(ids))))


def onnxruntime_session(path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda feed: session.run(["last_hidden_state"], {name: feed[name] for name in names})[0]


def openvino_session(path, threads):
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    model = openvino.Core().compile_model(str(path), "CPU", hints)
    names = [value.any_name for value in model.inputs]
    return lambda feed: model({name: feed[name] for name in names})["last_hidden_state"].copy()


SESSIONS = {"ONNX Runtime": onnxruntime_session, "OpenVINO": openvino_session}


def memory(engine, path):
    """In a process of its own: what opening and running once takes at the peak, in bytes."""
    code = subprocess.run([sys.executable, __file__, "--memory", engine, str(path)], capture_output=True, text=True, check=True)
    return json.loads(code.stdout)


def measure_memory(engine, path):
    {"ONNX Runtime": lambda: __import__("onnxruntime"), "OpenVINO": lambda: __import__("openvino")}[engine]()
    before = peak()
    SESSIONS[engine](path, 2)(batch(1, 16, 30))
    print(json.dumps(peak() - before))


def peak():
    """The most memory that this process had, in bytes."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def export_with_torch(model, path):
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *inputs):
            return self.model(**dict(zip(INPUTS, inputs))).last_hidden_state

    ids = torch.randint(5, model.config.vocab_size, (2, 64))
    axes = {name: {0: "batch", 1: "length"} for name in (*INPUTS, "last_hidden_state")}
    torch.onnx.export(Encoder(), (ids, torch.ones_like(ids), torch.zeros_like(ids)), str(path), input_names=list(INPUTS),
                      output_names=["last_hidden_state"], dynamic_axes=axes, opset_version=17, dynamo=False)


def write_files(folder, albert, scratch):
    """The files by name, and the model in f64."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AlbertModel

    model = AlbertModel.from_pretrained(folder, attn_implementation="eager", add_pooling_layer=False).eval()
    files = {}
    for dtype in ("f32", "int8", "int8-weights"):
        path = files[f"albert {dtype}"] = scratch / f"albert-{dtype}.onnx"
        # The pooler is a part of AlbertModel where the checkpoint has one; nobody asks for its output here.
        subprocess.run([albert, "export", "--model", folder, "--to", "onnx", "--class", "AlbertModel", "--dtype", dtype, "--output", path],
                       check=True, capture_output=True)
    files["PyTorch f32"] = scratch / "torch.onnx"
    export_with_torch(model, files["PyTorch f32"])
    files["ONNX Runtime's int8"] = scratch / "torch-int8.onnx"
    quantize_dynamic(str(files["PyTorch f32"]), str(files["ONNX Runtime's int8"]), weight_type=QuantType.QInt8)
    model.set_attn_implementation("sdpa")
    return files, model.double(), torch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("albert")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shapes", default="1x16,1x128,8x128")
    parser.add_argument("--sizes-only", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        files, model, torch = write_files(arguments.model, arguments.albert, pathlib.Path(scratch))
        weights = sum(tensor.numel() for name, tensor in model.named_parameters()) * 4
        for name, path in files.items():
            size = path.stat().st_size
            used = ", ".join(f"{engine} {memory(engine, path) / 1e6:.0f} MB" for engine in SESSIONS)
            print(f"{name}: {size / 1e6:.1f} MB, {size / weights:.3f} of the encoder's f32; memory: {used}", flush=True)
        if arguments.sizes_only:
            return
        sessions = {}
        for engine, session in SESSIONS.items():
            sessions.update({f"{engine}, {name}": session(path, arguments.threads) for name, path in files.items()})
        for shape in arguments.shapes.split(","):
            rows, length = map(int, shape.split("x"))
            feed = batch(rows, length, model.config.vocab_size)
            with torch.no_grad():
                right = model(**{name: torch.from_numpy(value) for name, value in feed.items()}).last_hidden_state.numpy()
            times = {name: [] for name in sessions}
            for name, run in sessions.items():
                error = np.sqrt(np.square(run(feed) - right).sum() / np.square(right).sum())
                print(f"{shape} {name}: error {error:.2e}", flush=True)
            for _ in range(arguments.rounds):
                for name, run in sessions.items():
                    run(feed)
                    for _ in range(3 if rows * length < 1000 else 1):
                        start = time.perf_counter()
                        run(feed)
                        times[name].append((time.perf_counter() - start) * 1e3)
            for name, values in times.items():
                print(f"{shape} {name}: {statistics.median(values):.1f} ms, least {min(values):.1f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        measure_memory(*sys.argv[2:])
    else:
        main()
