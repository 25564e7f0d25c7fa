"""One golden case: what it is made of and how its folder is written. Shared by make_goldens.py and make_goldens_457.py.

A case is a folder with config.json and model.safetensors (or shards), inputs.safetensors, expected.safetensors (f64)
and expected.json. The reference is always the model as loaded from that folder, run in f64 with eager attention.
"""
import dataclasses
import pathlib
import shutil
import zlib
from collections.abc import Callable

import torch
from transformers import AlbertConfig

import reference

ROOT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "model"

# A size for most cases, and a larger one where several vectors' width per row matters.
SMALL = dict(vocab_size=61, embedding_size=12, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
             intermediate_size=40, max_position_embeddings=24, type_vocab_size=3, hidden_act="gelu_new")
MEDIUM = dict(SMALL, vocab_size=67, embedding_size=16, hidden_size=48, num_attention_heads=4, intermediate_size=80)


@dataclasses.dataclass
class Case:
    """`inputs` makes the tensors from (config, generator). The other hooks are for the odd cases only."""
    name: str
    pins: str
    class_name: str
    inputs: Callable
    config: dict = dataclasses.field(default_factory=dict)
    base: dict = dataclasses.field(default_factory=lambda: SMALL)  # what `config` changes
    saved_as: str | None = None            # the class that wrote the file, where it is not class_name
    edit_model: Callable | None = None     # (model): before saving
    save: Callable | None = None           # (model, folder): instead of model.save_pretrained(folder)
    variants: dict = dataclasses.field(default_factory=dict)  # {prefix: Variant}: several forwards, one file
    extra: Callable | None = None          # (folder, model, inputs) -> further fields of expected.json
    outputs: Callable = lambda name: True  # (name): whether this output is recorded


@dataclasses.dataclass
class Variant:
    """One forward of a case with variants: fields of the configuration replaced, inputs replaced."""
    config: dict = dataclasses.field(default_factory=dict)
    inputs: Callable = lambda inputs: inputs


def tokens(config, generator, *shape):
    """Random ids that are not special tokens."""
    return torch.randint(5, config.vocab_size, shape, generator=generator)


def padded(config, generator, batch=2, length=7):
    """Ids, a mask with right padding in the last row, and token types."""
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[-1, length - 2:] = 0
    return {"input_ids": tokens(config, generator, batch, length), "attention_mask": mask,
            "token_type_ids": torch.randint(0, config.type_vocab_size, (batch, length), generator=generator)}


def plain(config, generator, batch=2, length=5):
    """Ids alone."""
    return {"input_ids": tokens(config, generator, batch, length)}


def write_all(cases, root, script):
    """Writes every case below `root` and prints the sizes."""
    torch.set_num_threads(1)
    made_by = "tools/" + pathlib.Path(script).name
    sizes = {case.name: write(case, root, made_by) for case in cases}
    for name, size in sizes.items():
        print(f"{size:8d}  {name}")
    print(f"{sum(sizes.values()):8d}  in all")


def write(case, root, made_by):
    """Writes the folder `root`/`case.name` and returns its size in bytes. The seed is the CRC-32 of the name."""
    folder, seed = root / case.name, zlib.crc32(case.name.encode())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = AlbertConfig(**{**case.base, **case.config})
    save_model(case, config, folder, seed)
    inputs = case.inputs(config, torch.Generator().manual_seed(seed))
    reference.write_tensors(folder / "inputs.safetensors", inputs)
    variants = case.variants or {"": Variant()}
    expected, errors = {}, {}
    for prefix, variant in variants.items():
        dot = prefix + "." if prefix else ""
        variant_inputs = variant.inputs(inputs)
        model = reference.load(folder, case.class_name, **variant.config)
        outputs = kept(case, reference.run(model, variant_inputs, torch.float64))
        outputs32 = reference.run(model, variant_inputs, torch.float32)
        error = reference.deviations(outputs32, outputs, case.class_name, reference.keep_of(inputs))
        expected.update({dot + name: value for name, value in outputs.items()})
        errors.update({dot + name: value for name, value in error.items()})
    reference.write_tensors(folder / "expected.safetensors", expected)
    description = {
        "class": case.class_name,
        "pins": case.pins,
        "made_by": made_by,
        "versions": reference.versions(),
        "attn_implementation": "eager",
        "dtype": "float64",
        "loading": reference.loading_report(folder, case.class_name),
        "hf_f32_error": errors,
    }
    if case.variants:
        description["variants"] = {prefix: variant.config for prefix, variant in variants.items()}
    if case.extra:
        description.update(case.extra(folder, model, inputs))
    reference.write_json(folder / "expected.json", description)
    return sum(file.stat().st_size for file in folder.iterdir())


def save_model(case, config, folder, seed):
    """A noisy model of the class that is to have written the file."""
    model = reference.noisy_model(case.saved_as or case.class_name, config, seed, std=0.25, noise=0.25)
    if case.edit_model:
        with torch.no_grad():
            case.edit_model(model)
    if case.save:
        case.save(model, folder)
    else:
        model.save_pretrained(folder)


def kept(case, outputs):
    """The outputs that the case records."""
    return {name: value for name, value in outputs.items() if case.outputs(name)}
