"""Writes fixtures/demo: an ALBERT folder that is complete, tokenizer included, and small enough to commit.

Usage: python3 tools/make_demo_fixture.py [OUT]      OUT defaults to fixtures/demo; Python's standard library alone.

The weights are random: the folder shows that every verb works, not that a model knows anything. tokenizer.json has the
form of the published English ALBERT tokenizers (Unigram, the same pre-tokenizer, template, decoder and special tokens,
the same normalizer without its character map), with the words below and the letters as its vocabulary.
"""
import json
import math
import pathlib
import random
import struct
import sys

SPECIAL = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """the a of is in and to was on at it he she they this that one two first city capital country france paris
rome italy river sentence another word good bad book long short new old great small""".split()
SIGNS = list("abcdefghijklmnopqrstuvwxyz0123456789.,!?'-")
V, E, H, L, A, F, P, U = len(SPECIAL) + 1 + len(WORDS) + len(SIGNS), 16, 32, 2, 4, 64, 128, 2
SEED = 20240229


def tokenizer():
    # Log probabilities: a word beats its spelling; the marker of a word's beginning stands between the two.
    pieces = [[token, 0.0] for token in SPECIAL] + [["\u2581", -4.0]]
    pieces += [["\u2581" + word, -5.0 - rank / 8] for rank, word in enumerate(WORDS)]
    pieces += [[sign, -12.0 - rank / 8] for rank, sign in enumerate(SIGNS)]
    added = [dict(id=i, content=token, single_word=False, lstrip=token == "[MASK]", rstrip=False, normalized=False, special=True)
             for i, token in enumerate(SPECIAL)]
    cls, sep = ({"SpecialToken": {"id": name, "type_id": 0}} for name in ("[CLS]", "[SEP]"))
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
            {"type": "Replace", "pattern": {"String": "''"}, "content": '"'},
            {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        "pre_tokenizer": metaspace,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [cls, {"Sequence": {"id": "A", "type_id": 0}}, sep],
            "pair": [cls, {"Sequence": {"id": "A", "type_id": 0}}, sep,
                     {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
            "special_tokens": {name: {"id": name, "ids": [SPECIAL.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")}},
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 1, "vocab": pieces},
    }


def config():
    return {
        "architectures": ["AlbertForPreTraining"], "attention_probs_dropout_prob": 0.0, "bos_token_id": 2,
        "classifier_dropout_prob": 0.1, "dtype": "float32", "embedding_size": E, "eos_token_id": 3, "hidden_act": "gelu_new",
        "hidden_dropout_prob": 0.0, "hidden_size": H, "initializer_range": 0.02, "inner_group_num": 1, "intermediate_size": F,
        "layer_norm_eps": 1e-12, "max_position_embeddings": P, "model_type": "albert", "num_attention_heads": A,
        "num_hidden_groups": 1, "num_hidden_layers": L, "pad_token_id": 0, "tie_word_embeddings": True, "type_vocab_size": U,
        "vocab_size": V,
    }


def shapes():
    block = "albert.encoder.albert_layer_groups.0.albert_layers.0"
    linear = {
        "albert.encoder.embedding_hidden_mapping_in": (H, E), f"{block}.attention.query": (H, H), f"{block}.attention.key": (H, H),
        f"{block}.attention.value": (H, H), f"{block}.attention.dense": (H, H), f"{block}.ffn": (F, H), f"{block}.ffn_output": (H, F),
        "albert.pooler": (H, H), "predictions.dense": (E, H), "sop_classifier.classifier": (2, H),
    }
    norms = {"albert.embeddings.LayerNorm": E, f"{block}.attention.LayerNorm": H, f"{block}.full_layer_layer_norm": H,
             "predictions.LayerNorm": E}
    tables = {"word": V, "position": P, "token_type": U}
    tensors = {f"albert.embeddings.{name}_embeddings.weight": (rows, E) for name, rows in tables.items()}
    for name, (rows, cols) in linear.items():
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = (rows, cols), (rows,)
    for name, width in norms.items():
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = (width,), (width,)
    return dict(sorted(tensors.items())) | {"predictions.bias": (V,)}


def values(name, shape, source):
    """Variance 1/K for a matrix, so that signals neither die nor grow; norms near the identity; small biases."""
    if name.endswith("bias"):
        mean, std = 0.0, 0.1
    elif len(shape) == 1:
        mean, std = 1.0, 0.1
    else:
        mean, std = 0.0, 1.0 if "_embeddings" in name else 1 / math.sqrt(shape[1])
    return [source.gauss(mean, std) for _ in range(math.prod(shape))]


def safetensors():
    header, data, source = {"__metadata__": {"format": "pt"}}, b"", random.Random(SEED)
    for name, shape in shapes().items():
        raw = struct.pack(f"<{math.prod(shape)}f", *values(name, shape, source))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "fixtures" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("config.json", config()), ("tokenizer.json", tokenizer())):
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(safetensors())


if __name__ == "__main__":
    main()
