"""Writes fixtures/quantized: a small quantised folder of layout version 1, and what its numbers give in f64.

Usage: python tools/make_quantized_fixture.py [OUT]      OUT defaults to fixtures/quantized; needs transformers 5.23, torch.

The source is fixtures/model/pretraining. The rules of docs/quantization.md are followed here in NumPy, apart from the Rust
code, so that a test which compares the two pins the layout:
  config.json            the source's, with quantization_config
  model.safetensors      I8 matrices X [N,K], F32 X_scale [N,1], the mapping in BF16, everything else F32; here the
                         integers are the nearest, while `albert quantize` chooses those of the blocks with feedback
  inputs.safetensors     those of the source
  expected.safetensors   f64 outputs of transformers with the weights X · X_scale: the words of the file, not of a device
"""
import json
import pathlib
import shutil
import sys

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from transformers import AlbertConfig, AlbertForPreTraining

ROOT = pathlib.Path(__file__).parent.parent
MATRICES = ["embeddings.word_embeddings", "pooler", "predictions.dense",
            "predictions.decoder", "attention.query", "attention.key", "attention.value", "attention.dense", "ffn",
            "ffn_output"]


def is_matrix(name):
    return any(name in (f"{end}.weight", f"albert.{end}.weight") or name.endswith(f".{end}.weight") for end in MATRICES)


def quantize(weight):
    """Integers [N,K] and scales [N,1]: max|w|/127, rounded up to 16 significant bits; nearest multiple, ties to even."""
    top = np.abs(weight).max(axis=1, keepdims=True)
    bits = (top / np.float32(127)).astype(np.float32).view(np.uint32)
    scale = ((bits + np.uint32(255)) & np.uint32(0xFFFFFF00)).view(np.float32)
    integers = np.rint(weight / np.where(scale == 0, np.float32(1), scale)).astype(np.int8)
    return integers, scale


def main(out):
    source = ROOT / "fixtures/model/pretraining"
    out.mkdir(parents=True, exist_ok=True)
    stored, real = {}, {}
    for name, weight in safetensors.numpy.load_file(source / "model.safetensors").items():
        if name.endswith("embedding_hidden_mapping_in.weight"):
            stored[name] = torch.from_numpy(weight).to(torch.bfloat16)
            real[name] = stored[name].double().numpy()
            continue
        if not is_matrix(name):
            stored[name] = real[name] = weight
            continue
        stored[name], scale = quantize(weight)
        stored[f"{name}_scale"] = scale
        real[name] = stored[name].astype(np.float64) * scale.astype(np.float64)
    metadata = {"format": "pt", "quant_method": "albert-int8", "quant_version": "1"}
    stored = {name: torch.as_tensor(weight) for name, weight in stored.items()}
    safetensors.torch.save_file(stored, out / "model.safetensors", metadata)
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "albert-int8", "version": 1, "bits": 8}
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    shutil.copyfile(source / "inputs.safetensors", out / "inputs.safetensors")

    plain = AlbertConfig.from_pretrained(source, attn_implementation="eager")
    model = AlbertForPreTraining(plain).double().eval()
    state = {name: torch.from_numpy(np.asarray(weight, np.float64)) for name, weight in real.items()}
    state["predictions.decoder.weight"] = state["albert.embeddings.word_embeddings.weight"]
    state["predictions.decoder.bias"] = state["predictions.bias"]
    model.load_state_dict(state, strict=False)
    missing = set(model.state_dict()) - set(state)
    assert not {name for name in missing if "position_ids" not in name}, missing
    inputs = safetensors.torch.load_file(source / "inputs.safetensors")
    names = ["input_ids", "attention_mask", "token_type_ids"]
    with torch.no_grad():
        output = model(**{name: inputs[name] for name in names})
    expected = {name: output[name].contiguous() for name in ("prediction_logits", "sop_logits")}
    safetensors.torch.save_file(expected, out / "expected.safetensors")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "fixtures/quantized")
