"""What the scripts of this folder share: noisy models, named outputs of transformers, deviations where it counts.

Alphabet: B batch, K choices, S length, V vocabulary, E embedding, H hidden, A heads, D head size, L layers, G groups,
N inner_group_num, P positions, C labels. Works with transformers 4.57 and 5.x; the attention is always "eager".
"""
import copy
import json
import os
import pathlib

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import safetensors.torch
import torch
import transformers

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

CLASSES = ("AlbertModel", "AlbertForPreTraining", "AlbertForMaskedLM", "AlbertForSequenceClassification",
           "AlbertForTokenClassification", "AlbertForQuestionAnswering", "AlbertForMultipleChoice")

# Classes whose `logits` have one row per token; the others' have one per sequence.
TOKEN_LOGITS = ("AlbertForMaskedLM", "AlbertForTokenClassification")


def model_class(name):
    """The transformers class of this name."""
    return getattr(transformers, name)


def noisy_model(class_name, config, seed, std=None, noise=0.05):
    """A model with random weights. No bias is zero and no norm is one, so that a swapped or missing tensor shows.

    `std` replaces the standard deviation of every matrix; without it the configuration's initializer_range holds.
    """
    torch.manual_seed(seed)
    model = model_class(class_name)._from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.ndim == 1:
                tensor.add_(noise * torch.randn_like(tensor))
            elif std is not None:
                tensor.copy_(std * torch.randn_like(tensor))
    return model


def load(folder, class_name, attention="eager", **overrides):
    """from_pretrained in evaluation mode; `overrides` replace fields of the configuration."""
    return model_class(class_name).from_pretrained(folder, attn_implementation=attention, **overrides).eval()


def loading_report(folder, class_name):
    """transformers' own report on a file: keys it missed and keys it did not expect."""
    _, info = model_class(class_name).from_pretrained(folder, attn_implementation="eager", output_loading_info=True)
    return {name: sorted(info[name]) for name in ("missing_keys", "unexpected_keys")}


def run(model, inputs, dtype, hidden_states=True, attentions=True):
    """The model's outputs in `dtype`, {name: tensor}; members of a tuple are called hidden_states.0 and so on."""
    model = copy.deepcopy(model).to(dtype)
    inputs = {name: value.to(dtype) if value.is_floating_point() else value for name, value in inputs.items()}
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=hidden_states, output_attentions=attentions)
    return named(output)


def named(output):
    """Flattens a ModelOutput to {name: contiguous tensor}."""
    tensors = {}
    for name, value in output.items():
        if isinstance(value, tuple):
            tensors.update({f"{name}.{i}": member.contiguous() for i, member in enumerate(value)})
        else:
            tensors[name] = value.contiguous()
    return tensors


def keep_of(inputs):
    """Boolean [rows, S] of the positions that the mask keeps, None without a mask. Any value but 0 keeps."""
    mask = inputs.get("attention_mask")
    return None if mask is None else mask.reshape(-1, mask.shape[-1]).bool()


def is_per_token(name, class_name):
    """Whether the output has one row per token."""
    return name.startswith(("last_hidden_state", "hidden_states", "prediction_logits", "start_logits", "end_logits")) \
        or (name == "logits" and class_name in TOKEN_LOGITS)


def visible(name, tensor, class_name, keep):
    """The part that is compared: no per-token rows of masked positions, no attention rows of masked queries."""
    if keep is None:
        return tensor
    if name.startswith("attentions"):
        return tensor.transpose(1, 2)[keep]
    return tensor[keep] if is_per_token(name, class_name) else tensor


def max_deviation(a, b):
    """max |a - b|; NaN against NaN counts 0, NaN against a number counts infinity, no element at all counts 0."""
    a, b = a.double(), b.double()
    if not torch.equal(a.isnan(), b.isnan()):
        return float("inf")
    difference = (a - b).nan_to_num(nan=0.0).abs()
    return difference.max().item() if difference.numel() else 0.0


def deviations(actual, expected, class_name, keep):
    """{name: max deviation over the visible part} of every expected output."""
    return {name: max_deviation(visible(name, actual[name], class_name, keep), visible(name, value, class_name, keep))
            for name, value in expected.items()}


def write_tensors(path, tensors):
    """A safetensors file of contiguous copies."""
    safetensors.torch.save_file({name: value.clone().contiguous() for name, value in tensors.items()}, str(path))


def write_json(path, value):
    """JSON with two spaces and a final newline."""
    pathlib.Path(path).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def require_version(prefix):
    """Ends the script where another transformers than the one it describes is installed."""
    if not transformers.__version__.startswith(prefix):
        raise SystemExit(f"this script needs transformers {prefix}, found {transformers.__version__}")


def versions():
    """The packages that made the numbers."""
    return {"transformers": transformers.__version__, "torch": torch.__version__}
