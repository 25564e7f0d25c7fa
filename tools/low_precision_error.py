"""The error of bf16 and int8 layer by layer, with plain rounding beside, as a table and a plot.

Usage: python low_precision_error.py ALBERT FOLDER [--svg FILE] [--batch 8] [--seq 128]
ALBERT is the program, FOLDER a model in f32. Relative RMS of hidden states against ours in f32 on random tokens. "nearest" is
int8 with every weight rounded to the nearest integer: this script writes such a folder, and the program takes it as it is.
"""
import argparse, json, pathlib, shutil, subprocess, tempfile
import numpy as np
from safetensors.numpy import load_file, save_file

KINDS = {"bf16": "#2a7", "int8": "#26c", "nearest": "#c52"}

def nearest(folder, out):
    """The folder with 8-bit matrices, each weight rounded for itself; the mapping stays, as in `albert quantize`."""
    shutil.copytree(folder, out); stored = {}
    ends = ("word_embeddings.weight", "query.weight", "key.weight", "value.weight", "attention.dense.weight", "ffn.weight", "ffn_output.weight", "pooler.weight", "predictions.dense.weight")
    for name, w in load_file(out / "model.safetensors").items():
        stored[name] = w
        if name.endswith(ends):
            bits = (np.abs(w).max(1, keepdims=True) / np.float32(127)).view(np.uint32); scale = ((bits + np.uint32(255)) & np.uint32(0xFFFFFF00)).view(np.float32)
            stored[name] = np.rint(w / np.where(scale == 0, 1, scale)).astype(np.int8); stored[name + "_scale"] = scale
    save_file(stored, out / "model.safetensors")

def states(albert, folder, dtype, ids):
    with tempfile.TemporaryDirectory() as td:
        save_file({"input_ids": ids}, f"{td}/in.safetensors")
        subprocess.run([albert, "forward", "--model", folder, "--class", "AlbertModel", "--dtype", dtype, "--hidden-states", "--inputs", f"{td}/in.safetensors", "--outputs", f"{td}/out.safetensors"], check=True, capture_output=True)
        out = load_file(f"{td}/out.safetensors")
    return [out[f"hidden_states.{i}"] for i in range(sum(k.startswith("hidden_states.") for k in out))]

def plot(errors, file):
    """Lines on white: layers across, error upwards from 0."""
    n = len(next(iter(errors.values()))); top = max(map(max, errors.values())) * 1.08; left, width, height = 70, 560, 300
    x = lambda i: left + i * (width - left - 90) / (n - 1); y = lambda e: 20 + (height - 60) * (1 - e / top)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>']
    step = next(s for s in (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1) if top / s <= 7); tick = 0.0
    while tick <= top:
        parts.append(f'<line x1="{left}" x2="{x(n - 1):.0f}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#ddd"/><text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{100 * tick:.2g} %</text>'); tick += step
    parts += [f'<text x="{x(i):.0f}" y="{height - 24}" text-anchor="middle">{i}</text>' for i in range(0, n, max(1, n // 12))]
    parts.append(f'<text x="{x((n - 1) / 2):.0f}" y="{height - 6}" text-anchor="middle">layer (0: embeddings, mapped)</text>')
    for kind, line in errors.items():
        parts.append(f'<polyline fill="none" stroke="{KINDS[kind]}" stroke-width="2" points="{" ".join(f"{x(i):.1f},{y(e):.1f}" for i, e in enumerate(line))}"/><text x="{x(n - 1) + 6:.0f}" y="{y(line[-1]) + 4:.1f}" fill="{KINDS[kind]}">{kind}</text>')
    pathlib.Path(file).write_text("\n".join(parts) + "\n</svg>\n")

def main():
    p = argparse.ArgumentParser(); p.add_argument("albert"); p.add_argument("folder"); p.add_argument("--svg"); p.add_argument("--batch", type=int, default=8); p.add_argument("--seq", type=int, default=128)
    a = p.parse_args(); vocabulary = json.loads(pathlib.Path(a.folder, "config.json").read_text())["vocab_size"]
    ids = np.random.default_rng(1).integers(5, vocabulary, (a.batch, a.seq)); exact = states(a.albert, a.folder, "f32", ids); errors = {}
    with tempfile.TemporaryDirectory() as td:
        nearest(pathlib.Path(a.folder), pathlib.Path(td) / "nearest")
        for kind, folder, dtype in (("bf16", a.folder, "bf16"), ("int8", a.folder, "int8"), ("nearest", f"{td}/nearest", "int8")):
            errors[kind] = [float(np.sqrt(((y - x) ** 2).sum() / (x ** 2).sum())) for x, y in zip(exact, states(a.albert, folder, dtype, ids))]
            print(f"{kind:8s}", " ".join(f"{e:.1e}" for e in errors[kind]))
    if a.svg: plot(errors, a.svg)

if __name__ == "__main__": main()
