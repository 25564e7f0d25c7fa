"""Compares `albert forward` with transformers 5.23 on random models and prints a Markdown table.

Usage: python parity.py --albert BINARY [--models DIR ...] [--sizes tiny,base,large] [--quick] [--threads N]
       python parity.py --self-test      transformers' own f32 run in place of the program: every ratio is at most 1

For every check the same checkpoint and inputs go to transformers in f64 (the truth), transformers in f32 (the
yardstick), both with eager attention, and to our program:
  albert forward --model DIR --inputs in.safetensors --outputs out.safetensors --class NAME
                 --hidden-states [--attentions]
which writes f32 tensors under transformers' names. Its per-token outputs at masked positions are exactly zero; they and
attention rows of masked queries are not compared.

A check passes where, for every output, max|ours - f64| <= 2 · max(max|f32 - f64|, 1e-7 · max|f64|), and on the random
base model also <= 5e-6. Members of hidden_states and attentions are judged one by one; the table shows the worst one.
Attentions are asked for up to 128 positions. The program ends with status 1 when a check fails.

--models adds existing checkpoints: each is read as the class that its config.json names, and as AlbertModel unless the
pooler is missing. They are held to the first rule alone.
"""
import argparse
import dataclasses
import functools
import json
import pathlib
import subprocess
import sys
import tempfile

import safetensors.torch
import torch
from transformers import AlbertConfig

import reference
from make_goldens import ACTIVATIONS, MASK_ROWS

SIZES = {  # V, H, L, A, F
    "tiny": (1003, 312, 4, 12, 1248), "base": (30000, 768, 12, 12, 3072), "large": (30000, 1024, 24, 16, 4096),
}
LENGTHS = {
    "tiny": (1, 2, 15, 16, 17, 31, 33, 100, 128, 511, 512), "base": (1, 2, 15, 16, 17, 31, 33, 100, 128, 511, 512),
    "large": (1, 17, 128, 512),
}
QUICK_LENGTHS = (1, 17, 128)
GROUPS = ((6, 2, 1), (7, 3, 1), (3, 1, 2), (3, 3, 2))  # L, G, N
BASE_LIMIT = 5e-6


@dataclasses.dataclass
class Check:
    """One forward to compare. `limit` is an absolute bound beside the relative one."""
    model: str
    folder: pathlib.Path
    class_name: str
    case: str
    inputs: dict
    limit: float = float("inf")


@dataclasses.dataclass
class Row:
    """One line of the table: the worst member of one output."""
    output: str
    error32: float
    error: float
    ratio: float
    passed: bool


# ---------------------------------------------------------------- inputs

def generator(*seed):
    """Random numbers that depend on what they are for, not on the order of the checks."""
    return torch.Generator().manual_seed(sum((i + 1) * 7919 * part for i, part in enumerate(seed)))


def sequence(config, batch, length, mask=None):
    """Ids and token types, and a mask where one is given."""
    numbers = generator(batch, length)
    inputs = {"input_ids": torch.randint(5, config.vocab_size, (batch, length), generator=numbers),
              "token_type_ids": torch.randint(0, config.type_vocab_size, (batch, length), generator=numbers)}
    return inputs if mask is None else {**inputs, "attention_mask": mask}


def right_padding(batch, length):
    """A mask whose row b ends b positions early."""
    return (torch.arange(length)[None] < length - torch.arange(batch)[:, None]).long()


def mask_patterns(config):
    """The rows of MASK_ROWS, each bit stretched to five positions and cut at 33: two vectors and one position."""
    mask = torch.tensor(list(MASK_ROWS.values())).repeat_interleave(5, dim=1)[:, :33]
    return sequence(config, *mask.shape, mask)


def odd_positions(config):
    """Unordered, repeated position_ids."""
    inputs = sequence(config, 3, 21)
    shape = inputs["input_ids"].shape
    return {**inputs, "position_ids": torch.randint(0, config.max_position_embeddings, shape, generator=generator(3))}


def embedded(config):
    """inputs_embeds in place of ids."""
    inputs = sequence(config, 3, 21, right_padding(3, 21))
    shape = (*inputs.pop("input_ids").shape, config.embedding_size)
    return {**inputs, "inputs_embeds": 0.02 * torch.randn(shape, generator=generator(4))}


def with_labels(class_name, config, batch=4, length=19):
    """Padded inputs of a class, with labels for its loss."""
    inputs, numbers = sequence(config, batch, length, right_padding(batch, length)), generator(batch, length, 5)

    def integers(limit, *shape):
        return torch.randint(0, limit, shape, generator=numbers)

    if class_name == "AlbertModel":
        return inputs
    if class_name == "AlbertForQuestionAnswering":
        return {**inputs, "start_positions": integers(length, batch), "end_positions": integers(length + 1, batch)}
    if class_name == "AlbertForMultipleChoice":
        return {**{name: value.view(batch // 2, 2, length) for name, value in inputs.items()},
                "labels": integers(2, batch // 2)}
    if class_name == "AlbertForSequenceClassification":
        problem = config.problem_type or ("regression" if config.num_labels == 1 else "single_label_classification")
        if problem == "single_label_classification":
            return {**inputs, "labels": integers(config.num_labels, batch)}
        labels = integers(2, batch, config.num_labels).float()
        return {**inputs, "labels": labels[:, 0] if config.num_labels == 1 else labels}
    classes = config.num_labels if class_name == "AlbertForTokenClassification" else config.vocab_size
    labels = integers(classes, batch, length)
    labels[torch.rand(labels.shape, generator=numbers) < 0.7] = -100
    labels[0, 0] = 1
    order = {"sentence_order_label": integers(2, batch)} if class_name == "AlbertForPreTraining" else {}
    return {**inputs, "labels": labels, **order}


# ---------------------------------------------------------------- the checks

def random_config(size, **fields):
    """A configuration of SIZES, with some fields replaced."""
    vocab, hidden, layers, heads, intermediate = SIZES[size]
    return AlbertConfig(**{**dict(vocab_size=vocab, embedding_size=128, hidden_size=hidden, num_hidden_layers=layers,
                                  num_attention_heads=heads, intermediate_size=intermediate), **fields})


def random_checks(size, label, class_name, make_cases, std=None, **fields):
    """Saves one random model for as long as its checks run; `make_cases`: config -> [(class, case, inputs)].

    `std` is that of the matrices where it is not to be initializer_range.
    """
    config = random_config(size, **fields)
    with tempfile.TemporaryDirectory() as folder:
        reference.noisy_model(class_name, config, seed=0, std=std).save_pretrained(folder)
        for name, case, inputs in make_cases(config):
            limit = BASE_LIMIT if size == "base" else float("inf")
            yield Check(label, pathlib.Path(folder), name, case, inputs, limit)


def input_cases(lengths):
    """AlbertModel at several lengths, and with every kind of input."""
    def cases(config):
        for length in lengths:
            yield "AlbertModel", f"length {length}", sequence(config, 2 if length <= 128 else 1, length)
        yield "AlbertModel", "masks", mask_patterns(config)
        yield "AlbertModel", "position_ids", odd_positions(config)
        yield "AlbertModel", "inputs_embeds", embedded(config)
    return cases


def class_case(class_name, case="loss"):
    """One class with its loss."""
    return lambda config: [(class_name, case, with_labels(class_name, config))]


def size_checks(size, quick):
    """One size: inputs and lengths over a pre-training checkpoint, then every class (large: pre-training alone)."""
    yield from random_checks(size, size, "AlbertForPreTraining", input_cases(QUICK_LENGTHS if quick else LENGTHS[size]))
    classes = ("AlbertForPreTraining",) if size == "large" else reference.CLASSES[1:]
    for class_name in classes:
        yield from random_checks(size, size, class_name, class_case(class_name))


def tiny_checks(quick):
    """What the tiny shape alone covers: groups, activations, problem types."""
    for layers, groups, inner in GROUPS:
        fields = dict(num_hidden_layers=layers, num_hidden_groups=groups, inner_group_num=inner)
        yield from random_checks("tiny", f"tiny L{layers} G{groups} N{inner}", "AlbertModel",
                                 class_case("AlbertModel", "padded"), **fields)
    for name in ACTIVATIONS[:3] if quick else ACTIVATIONS:
        yield from random_checks("tiny", f"tiny {name}", "AlbertForMaskedLM", class_case("AlbertForMaskedLM"),
                                 std=0.1, hidden_act=name, num_hidden_layers=2)
    sequence_class = "AlbertForSequenceClassification"
    for labels, problem in ((1, "regression"), (3, "regression"), (3, "multi_label_classification")):
        yield from random_checks("tiny", "tiny", sequence_class, class_case(sequence_class, f"{problem}, C = {labels}"),
                                 num_labels=labels, problem_type=problem)


def folder_checks(folder):
    """An existing checkpoint as AlbertModel and as its own class."""
    config = AlbertConfig.from_pretrained(folder)
    own = [name for name in config.architectures or () if name in reference.CLASSES[1:]]
    classes = [name for name in ("AlbertModel", *own) if not reference.loading_report(folder, name)["missing_keys"]]
    for class_name in classes:
        for length in (1, 17, min(128, config.max_position_embeddings)):
            yield Check(folder.name, folder, class_name, f"length {length}", sequence(config, 2, length))
        yield Check(folder.name, folder, class_name, "padded, loss", with_labels(class_name, config))


def all_checks(options):
    """Every check that the options ask for; a model's folder lives until the next model's first check."""
    for size in options.sizes:
        yield from size_checks(size, options.quick)
        if size == "tiny":
            yield from tiny_checks(options.quick)
    for folder in options.models:
        yield from folder_checks(folder)


# ---------------------------------------------------------------- running and judging

@functools.lru_cache(maxsize=1)
def loaded(folder, class_name):
    """transformers' model; the same for successive checks of one checkpoint and class."""
    return reference.load(folder, class_name)


def ours(binary, check, attentions):
    """Runs the program and reads what it wrote; CalledProcessError where it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        inputs, outputs = pathlib.Path(scratch, "in.safetensors"), pathlib.Path(scratch, "out.safetensors")
        reference.write_tensors(inputs, check.inputs)
        command = [binary, "forward", "--model", check.folder, "--inputs", inputs, "--outputs", outputs,
                   "--class", check.class_name, "--hidden-states"] + (["--attentions"] if attentions else [])
        subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
        return safetensors.torch.load_file(outputs)


def zero_masked(outputs, class_name, keep):
    """transformers' outputs in the program's form: zeros at masked positions."""
    if keep is None:
        return outputs
    return {name: value * keep.view(*keep.shape, *[1] * (value.ndim - 2)) if reference.is_per_token(name, class_name)
            else value for name, value in outputs.items()}


def run_check(check, binary):
    """The rows of one check."""
    attentions = check.inputs[next(iter(check.inputs))].shape[-1] <= 128
    keep = reference.keep_of(check.inputs)
    model = loaded(check.folder, check.class_name)
    expected = reference.run(model, check.inputs, torch.float64, attentions=attentions)
    outputs32 = reference.run(model, check.inputs, torch.float32, attentions=attentions)
    try:
        actual = ours(binary, check, attentions) if binary else zero_masked(outputs32, check.class_name, keep)
    except subprocess.CalledProcessError as error:
        return [no_numbers(f"status {error.returncode}: {' '.join(error.stderr.split())}")]
    if breach := contract_breach(actual, expected, check.class_name, keep):
        return [no_numbers(breach)]
    errors32 = reference.deviations(outputs32, expected, check.class_name, keep)
    errors = reference.deviations(actual, expected, check.class_name, keep)
    rows = {}
    for name, value in expected.items():
        compared = reference.visible(name, value, check.class_name, keep)
        row = judge(name, errors32[name], errors[name], compared, check.limit)
        output = name.split(".")[0]
        if output not in rows or (row.passed, -row.ratio) < (rows[output].passed, -rows[output].ratio):
            rows[output] = row
    return list(rows.values())


def no_numbers(reason):
    """The row of a check that could not be compared."""
    return Row(reason, float("nan"), float("nan"), float("inf"), False)


def contract_breach(actual, expected, class_name, keep):
    """What is wrong with names, shapes, types or the zeros at masked positions; None where nothing is."""
    if set(actual) != set(expected):
        return f"names differ: {', '.join(sorted(set(actual) ^ set(expected)))}"
    for name, value in actual.items():
        if value.shape != expected[name].shape or value.dtype != torch.float32:
            return f"{name} is {value.dtype} {list(value.shape)}, expected float32 {list(expected[name].shape)}"
        if keep is not None and reference.is_per_token(name, class_name) and value[~keep].count_nonzero():
            return f"{name} is not zero at masked positions"
    return None


def judge(name, error32, error, value, limit):
    """One output against the rule of the docstring."""
    largest = value.nan_to_num(nan=0.0).abs().max().item() if value.numel() else 0.0
    yardstick = max(error32, 1e-7 * largest, sys.float_info.min)
    return Row(name, error32, error, error / yardstick, error <= 2 * yardstick and error <= limit)


def parse_options():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    program = parser.add_mutually_exclusive_group(required=True)
    program.add_argument("--albert", metavar="BINARY")
    program.add_argument("--self-test", action="store_true")
    parser.add_argument("--models", metavar="DIR", nargs="*", type=pathlib.Path, default=[])
    parser.add_argument("--sizes", default="tiny,base,large")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    options = parser.parse_args()
    options.sizes = [size for size in options.sizes.split(",") if size]
    if unknown := set(options.sizes) - set(SIZES):
        parser.error(f"unknown size {', '.join(sorted(unknown))}; there are {', '.join(SIZES)}")
    return options


def main():
    options = parse_options()
    reference.require_version("5.23")
    torch.set_num_threads(options.threads)
    passed = failed = 0
    print("| model | class | case | output | hf f32 − f64 | ours − f64 | ratio | |")
    print("|---|---|---|---|---|---|---|---|")
    for check in all_checks(options):
        for row in run_check(check, options.albert):
            verdict = "pass" if row.passed else "**fail**"
            print(f"| {check.model} | {check.class_name} | {check.case} | {row.output} | {row.error32:.1e} "
                  f"| {row.error:.1e} | {row.ratio:.2f} | {verdict} |", flush=True)
            passed, failed = passed + row.passed, failed + (not row.passed)
    print(f"\n{passed} passed, {failed} failed; {json.dumps(reference.versions())}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
