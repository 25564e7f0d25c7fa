"""Compares the pipelines of `albert` with the answers of transformers that pipelines_reference.py wrote.

Usage: python pipelines_parity.py FOLDER --albert BINARY [--tasks a,b] [--sets NAME,…] [--show N] [--limit 1e-5]
       python pipelines_parity.py FOLDER --against OTHER     another folder of answers in place of the program

For every set in FOLDER (its layout is in pipelines.py) the program runs once:
  albert ARGUMENTS --model DIR --input FILE --json --quiet
and prints for each input {"output": what transformers returns, "truncated": bool, "tokens": n}.

Labels, words, tokens, spans (in code points) and their order must be the same; a number may differ by --limit, times its
size where that is above 1. Where two scores of the reference are closer than 1e-6, their order is free; such answers are
counted. A list of one and its only element are the same. Differing answers end the program with status 1.
Python's standard library alone.
"""
import argparse
import json
import pathlib
import subprocess
import sys

TIE = 1e-6


class Comparison:
    """What differs between two answers: the largest deviation of a number, and the first difference of anything else."""

    def __init__(self, limit):
        self.limit, self.deviation, self.difference, self.ties = limit, 0.0, None, 0

    def differ(self, where, expected, found):
        if self.difference is None:
            self.difference = f"{where or 'output'}: expected {short(expected)}, found {short(found)}"

    def compare(self, expected, found, where=""):
        """Walks through both values."""
        expected, found = opened(expected), opened(found)
        if isinstance(expected, dict) and isinstance(found, dict):
            if expected.keys() != found.keys():
                return self.differ(where, sorted(expected), sorted(found))
            for key in expected:
                self.compare(expected[key], found[key], f"{where}.{key}" if where else key)
        elif isinstance(expected, list) and isinstance(found, list):
            if len(expected) != len(found):
                return self.differ(f"{where} length", len(expected), len(found))
            if scored(expected) and scored(found):
                found = self.reordered(expected, found)
            for i, (left, right) in enumerate(zip(expected, found)):
                self.compare(left, right, f"{where}[{i}]")
        elif isinstance(expected, float) and isinstance(found, (int, float)) and not isinstance(found, bool):
            deviation = abs(expected - found) / max(1.0, abs(expected))
            self.deviation = max(self.deviation, deviation)
            if not deviation <= self.limit:
                self.differ(where, expected, found)
        elif type(expected) is not type(found) or expected != found:
            self.differ(where, expected, found)

    def reordered(self, expected, found):
        """Found items in the expected order, within runs of scores that are as good as equal."""
        made, start = [], 0
        while start < len(expected):
            end = start + 1
            while end < len(expected) and abs(expected[end]["score"] - expected[end - 1]["score"]) < TIE:
                end += 1
            rest = found[start:end]
            for item in expected[start:end]:
                same = next((other for other in rest if names(other) == names(item)), rest[0])
                rest.remove(same)
                made.append(same)
            start = end
        self.ties += made != found
        return made


def opened(value):
    """A list of one as its element, the parallel lists of zero-shot classification as one list."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict) and isinstance(value.get("labels"), list) and isinstance(value.get("scores"), list):
        pairs = [{"label": label, "score": score} for label, score in zip(value["labels"], value["scores"])]
        return {**{key: part for key, part in value.items() if key not in ("labels", "scores")}, "answers": pairs}
    return value


def scored(value):
    """Whether a list holds answers with scores."""
    return bool(value) and all(isinstance(item, dict) and isinstance(item.get("score"), (int, float)) for item in value)


def names(item):
    """An answer without its numbers of accuracy."""
    return {key: part for key, part in item.items() if key != "score"}


def short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:200] + "…"


def read(path):
    with path.open(encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def ours(options, stem):
    """The outputs of the program, or of another folder, for one set; a text where there are none."""
    if options.against:
        path = options.against / stem.parent.name / f"{stem.name}.expected.jsonl"
        return [line["output"] for line in read(path)] if path.exists() else "not there"
    arguments = json.loads(stem.with_name(f"{stem.name}.args.json").read_text(encoding="utf-8"))
    # transformers cuts long inputs unasked, but for question answering and where a stride is given.
    if not {"answer", "--long", "--stride"} & set(arguments):
        arguments += ["--long", "truncate"]
    model = options.folder / stem.with_name(f"{stem.name}.model.txt").read_text().strip()
    command = [options.albert, *arguments, *options.more.split(), "--model", str(model), "--input", str(stem.with_name(f"{stem.name}.input.jsonl")),
               "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        return f"exit code {done.returncode}: {done.stderr.strip()[:300]}"
    found = [json.loads(line)["output"] for line in done.stdout.split("\n") if line]
    if arguments[0] == "sentence-order":
        # The reference has the probabilities in the order of the logits.
        scores = [{part["label"]: part["score"] for part in answer} for answer in found]
        return [[score["in order"], score["swapped"]] for score in scores]
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--albert")
    parser.add_argument("--more", default="", help="more arguments for the program, such as --more=--tokenizer-mode=hf5 for answers of transformers 5")
    parser.add_argument("--against", type=pathlib.Path)
    parser.add_argument("--tasks", default="")
    parser.add_argument("--sets", default="")
    parser.add_argument("--show", type=int, default=3)
    parser.add_argument("--limit", type=float, default=1e-5)
    options = parser.parse_args()
    if not options.albert and not options.against:
        parser.error("--albert or --against is needed")
    stems = [path.with_name(path.name.removesuffix(".expected.jsonl")) for path in sorted(options.folder.glob("*/*.expected.jsonl"))]
    stems = [stem for stem in stems if not options.tasks or stem.parent.name in options.tasks.split(",")]
    stems = [stem for stem in stems if not options.sets or stem.name in options.sets.split(",")]
    if not stems:
        sys.exit("no sets there")
    table, failed = {}, False
    for stem in stems:
        expected, found = [line["output"] for line in read(stem.with_name(f"{stem.name}.expected.jsonl"))], ours(options, stem)
        name = f"{stem.parent.name}/{stem.name}"
        if isinstance(found, str) or len(found) != len(expected):
            message = found if isinstance(found, str) else f"{len(found)} answers to {len(expected)} inputs"
            print(f"{name}: {message}")
            found = [None] * len(expected)
        row = table.setdefault(stem.parent.name, {"sets": 0, "inputs": 0, "differing": 0, "ties": 0, "deviation": 0.0})
        row["sets"] += 1
        shown = 0
        for i, (left, right) in enumerate(zip(expected, found)):
            comparison = Comparison(options.limit)
            comparison.compare(left, right)
            row["inputs"] += 1
            row["ties"] += bool(comparison.ties)
            row["deviation"] = max(row["deviation"], comparison.deviation)
            if comparison.difference:
                row["differing"] += 1
                shown += 1
                if shown <= options.show and right is not None:
                    print(f"{name} line {i + 1}: {comparison.difference}")
        failed |= row["differing"] > 0
    print("\n| task | sets | inputs | differing answers | order of equal scores differs | largest deviation |\n|---|---|---|---|---|---|")
    for task, row in table.items():
        print(f"| {task} | {row['sets']} | {row['inputs']} | {row['differing']} | {row['ties']} | {row['deviation']:.1e} |")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
