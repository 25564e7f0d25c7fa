"""The measurements of docs/paper.md: what ALBERT's paper says, measured again with the program.

Usage: python paper.py FILE sizes --albert PROGRAM
       python paper.py FILE speed --albert PROGRAM [--models NAME …] [--batch 8] [--seq 128] [--iterations 3] [--rounds 2] [--dtype f32]
       python paper.py FILE small --albert PROGRAM --tokenizer DIR --steps N [--only STUDY,…] [--seeds 1,…] [--whole-sentences]
                                  [--model DIR] TEXT …
       python paper.py FILE render DOCS

FILE takes a JSON object for each measurement. One that it holds already is not made again: a run that was stopped goes on, and removing
a line repeats it. `render` puts tables between the marks `<!-- table:NAME -->` and `<!-- end -->` of DOCS/paper.md and writes the plots
DOCS/paper-NAME.svg. Linux; the standard library alone.
"""
import argparse
import datetime
import functools
import itertools
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile


def shape(hidden, layers, heads, embedding=128, groups=1):
    """A configuration of the paper's family."""
    return dict(model_type="albert", vocab_size=30000, embedding_size=embedding, hidden_size=hidden, num_hidden_layers=layers,
                num_hidden_groups=groups, inner_group_num=1, num_attention_heads=heads, intermediate_size=4 * hidden, hidden_act="gelu",
                hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, max_position_embeddings=512, type_vocab_size=2)


def bert(hidden, layers, heads):
    """BERT's shape: embeddings as wide as the layers, which share nothing."""
    return shape(hidden, layers, heads, embedding=hidden, groups=layers)


# Table 1 of the paper, with its number of parameters.
MODELS = {
    "BERT base": (bert(768, 12, 12), "108M"), "BERT large": (bert(1024, 24, 16), "334M"), "ALBERT base": (shape(768, 12, 12), "12M"),
    "ALBERT large": (shape(1024, 24, 16), "18M"), "ALBERT xlarge": (shape(2048, 24, 16), "60M"),
    "ALBERT xxlarge": (shape(4096, 12, 64), "235M"),
}
# The small models: one of them, and each of the others differs from it in one thing. In the paper's words: section 4.5, 4.4, …
BASE = dict(share="all", embedding=128, layers=4, dropout=0.0, objective="none")
STUDIES = {
    "sharing": [dict(share=share) for share in ("all", "attention", "ffn", "none")],
    "embedding": [dict(embedding=size) for size in (64, 128, 256)],
    "depth": [dict(layers=layers) for layers in (1, 2, 4, 8)],
    "dropout": [dict(dropout=rate) for rate in (0.0, 0.1)],
    "objective": [dict(objective=name) for name in ("none", "next-sentence", "sentence-order")],
}
COLOURS = ["#2a7", "#26c", "#c52", "#848"]


class Measurements:
    """The lines of the file."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        text = self.path.read_text() if self.path.exists() else ""
        self.records = [json.loads(line) for line in text.splitlines()]

    def of(self, study):
        return [record for record in self.records if record["study"] == study]

    def make(self, study, setting, measure):
        """Measures and writes a line, unless there is one of the same setting."""
        if any(record["setting"] == setting for record in self.of(study)):
            return
        print(study, json.dumps(setting), flush=True)
        record = dict(study=study, setting=setting, result=measure(), machine=machine(), date=datetime.date.today().isoformat())
        self.records.append(record)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print("  ", json.dumps(record["result"])[:300], flush=True)


def machine():
    names = re.findall(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{names[0] if names else 'unknown processor'}, {os.cpu_count()} cores"


def run(command):
    """What a program printed, and the most memory that it had, in MiB."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, command))}\nended with {process.returncode}: {err.read()}")
        return out.read(), usage.ru_maxrss / 1024


# --------------------------------------------------------------------------------------------------------------------------------------
# measuring

def configured(folder, config):
    path = pathlib.Path(folder) / "config.json"
    path.write_text(json.dumps(config))
    return path


def sizes(file, options):
    for name, (config, _) in MODELS.items():
        def measure():
            with tempfile.TemporaryDirectory() as folder:
                out, _ = run([options.albert, "inspect", "--config", configured(folder, config), "--json"])
            return {"parameters": json.loads(out)["parameters_with_pooler"]}
        file.make("sizes", {"model": name}, measure)


def speed(file, options):
    for turn in range(options.rounds):
        for name in options.models:
            setting = dict(model=name, batch=options.batch, seq=options.seq, dtype=options.dtype, threads=options.threads,
                           iterations=options.iterations, round=turn)

            def measure():
                with tempfile.TemporaryDirectory() as folder:
                    out, memory = run([options.albert, "bench", "train", "--config", configured(folder, MODELS[name][0]), "--json",
                                       "--batch", options.batch, "--seq", options.seq, "--dtype", options.dtype,
                                       "--threads", options.threads, "--iterations", options.iterations])
                found = json.loads(out)
                return {"ms": found["ms"], "parameters": found["parameters"], "peak_mib": round(memory)}
            file.make("speed", setting, measure)


def small(file, options):
    common = dict(hidden=options.hidden, steps=options.steps, batch=options.batch, length=options.length, rate=options.rate,
                  warmup=options.warmup, optimizer=options.optimizer, held_out=options.held_out, eval_samples=options.eval_samples,
                  threads=options.threads, whole_sentences=options.whole_sentences, begin=options.model and options.model.resolve().name,
                  tokenizer=options.tokenizer.resolve().name, text=sorted(pathlib.Path(path).name for path in options.text))
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        for study in options.only:
            for change, seed in itertools.product(STUDIES[study], options.seeds):
                setting = BASE | change | dict(seed=seed)
                file.make("small", common | setting, lambda: pretrained(options, setting, pathlib.Path(folder)))


def pretrained(options, setting, folder):
    """One small model: how it learned, and what it knows at the end of both second labels."""
    config = shape(options.hidden, setting["layers"], options.hidden // 32, embedding=setting["embedding"])
    lengths = [int(part.split(":")[0]) for part in options.length.split(",")]
    begin = ["--model", options.model] if options.model else [
        "--config", configured(folder, config | {"max_position_embeddings": max(lengths)}), "--share", setting["share"],
        "--dropout", setting["dropout"]]
    always = [options.albert, "pretrain", *options.text, "--tokenizer", options.tokenizer, "--cache", folder / "tokens", "--held-out",
              options.held_out, "--max-eval-samples", options.eval_samples, "--threads", options.threads,
              *["--whole-sentences"] * options.whole_sentences]
    with tempfile.TemporaryDirectory(dir=folder) as out:
        out = pathlib.Path(out)
        command = [*always, *begin, "--max-seq-length", options.length, "--objective", setting["objective"], "--seed", setting["seed"],
                   "--output", out / "model", "--max-steps", options.steps, "--batch-size", options.batch, "--learning-rate",
                   options.rate, "--warmup-steps", options.warmup, "--optimizer", options.optimizer, "--weight-decay", 0, "--eval-steps",
                   max(1, options.steps // 6), "--save-steps", options.steps, "--log-steps", max(1, options.steps // 20)]
        plan, _ = run([*command, "--dry-run"])
        text, _ = run([*command, "--json", "-q"])
        found = json.loads(text)
        history = json.loads((out / "model" / "trainer_state.json").read_text())["log_history"]
        result = {"parameters": int(re.search(r"(\d+) parameters", plan)[1]), "seconds": found["train_runtime"]}
        result |= {name: found[f"eval_{name}"] for name in ("masked_lm_loss", "masked_lm_accuracy")}
        result["curve"] = [[entry["step"], entry["eval_masked_lm_loss"]] for entry in history if "eval_masked_lm_loss" in entry]
        result["vocabulary"] = json.loads((out / "model" / "config.json").read_text())["vocab_size"]
        # A step of rate 0 changes nothing; what follows it is measured on the held-out text with that label, in samples as long as
        # the run's last.
        for label in ("sentence-order", "next-sentence"):
            text, _ = run([*always, "--max-seq-length", lengths[-1], "--model", out / "model", "--objective", label, "--output",
                           out / label, "--max-steps", 1, "--batch-size", 1, "--learning-rate", 0, "--json", "-q"])
            found = json.loads(text)
            accuracy = found[f"eval_{label.replace('-', '_')}_accuracy"]
            result[label] = {"accuracy": accuracy, "masked_lm_accuracy": found["eval_masked_lm_accuracy"]}
    return result


# --------------------------------------------------------------------------------------------------------------------------------------
# rendering

def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def origin(records, more=""):
    """Machines and dates of the measurements."""
    places = sorted({f"{record['machine']}, {record['date']}" for record in records})
    return "; ".join(places) + more + "."


def render_sizes(file):
    records = {record["setting"]["model"]: record for record in file.of("sizes")}
    rows = []
    for name, (config, paper) in MODELS.items():
        if name in records:
            h, e = config["hidden_size"], config["embedding_size"]
            count, mapping = records[name]["result"]["parameters"], h * (e + 1)
            rows.append([name, config["num_hidden_layers"], h, e, f"{count:,}", f"{count - mapping:,}" if e == h else "", paper])
    head = ["model", "layers", "hidden size", "embedding size", "parameters", "without the mapping", "paper, table 1"]
    return {"sizes": table(head, rows)} if rows else {}


def render_speed(file):
    groups = {}
    for record in file.of("speed"):
        setting = record["setting"]
        key = tuple(setting[name] for name in ("batch", "seq", "dtype", "threads"))
        groups.setdefault(key, {}).setdefault(setting["model"], []).append(record)
    parts = []
    for (batch, seq, dtype, threads), models in groups.items():
        times = {name: statistics.median(ms for record in records for ms in record["result"]["ms"]) for name, records in models.items()}
        rows = []
        for name in (name for name in MODELS if name in models):
            results = [record["result"] for record in models[name]]
            peer = name.replace("ALBERT", "BERT")
            factor = f"{times[peer] / times[name]:.2f}" if peer != name and peer in times else ""
            rows.append([name, f"{results[0]['parameters'] / 1e6:.1f}M", f"{times[name]:,.0f}", f"{batch * seq / times[name] * 1e3:,.0f}",
                         f"{max(result['peak_mib'] for result in results) / 1024:.1f}", factor])
        head = ["model", "parameters", "ms of a step", "tokens/s", "peak memory, GiB", "as fast as BERT of its size"]
        rounds = max(len(records) for records in models.values())
        every = [record for records in models.values() for record in records]
        about = origin(every, f"; {batch} x {seq} tokens, {dtype}, {threads} threads, median of {rounds} rounds in turn")
        parts.append(about + "\n\n" + table(head, rows))
    return {"speed": "\n\n".join(parts)} if parts else {}


def percent(share):
    return f"{100 * share:.1f} %"


def about(common, records):
    """What a study's models have in common."""
    vocabulary = records[0]["result"]["vocabulary"]
    text = ", ".join(f"`{name}`" for name in common["text"])
    first = f"Further training of `{common['begin']}`. " if common["begin"] else ""
    return (f"{first}Hidden size {common['hidden']}; where a table does not say otherwise {BASE['layers']} layers that share all, "
            f"embeddings of {BASE['embedding']}, no dropout, no second label; {vocabulary:,} pieces, {common['steps']} steps of "
            f"{common['batch']} samples, `--max-seq-length {common['length']}`{', `--whole-sentences`' * common['whole_sentences']}, "
            f"{common['optimizer']}, rate {common['rate']:g} after {common['warmup']} steps of warm-up; text {text}, "
            f"{common['held_out']:g} of it held out (at most {common['eval_samples']} samples are measured); {common['threads']} "
            f"threads. ") + origin(records)


def render_small(file, docs):
    records = file.of("small")

    def common(study):
        """The newest settings of models that this study alone has; those of other runs are left aside."""
        for record in reversed(records):
            if any(change.items() - BASE.items() and (BASE | change).items() <= record["setting"].items() for change in STUDIES[study]):
                return {key: value for key, value in record["setting"].items() if key not in BASE and key != "seed"}
        return None

    def made(study):
        """For each of its changes the value and the records, in the order of the seeds."""
        for change in STUDIES[study]:
            wanted = (common(study) | BASE | change).items()
            chosen = [record for record in records if wanted <= record["setting"].items()]
            yield next(iter(change.values())), sorted(chosen, key=lambda record: record["setting"]["seed"])

    def found(study):
        return [(value, [record["result"] for record in chosen]) for value, chosen in made(study)]

    def measures(results):
        first = results[0]
        return [f"{first['parameters'] / 1e6:.2f}M", ", ".join(f"{result['masked_lm_loss']:.2f}" for result in results),
                ", ".join(percent(result["masked_lm_accuracy"]) for result in results), f"{first['seconds']:.0f}"]

    def is_whole(study):
        """Whether all its rows are there, and figures of a seed can stand in the same place in each."""
        seeds = common(study) and [[record["setting"]["seed"] for record in chosen] for _, chosen in made(study)]
        return seeds and all(row and row == max(seeds, key=len)[:len(row)] for row in seeds)

    missing = [study for study in STUDIES if not is_whole(study)]
    if missing:
        print(f"no tables of the small models: the file has not all of {', '.join(missing)}, or other seeds for some")
        return {}
    alike = [study for study in STUDIES if common(study) == common("sharing")]
    tables = {"small": about(common("sharing"), [record for study in alike for _, chosen in made(study) for record in chosen])}
    head = ["parameters", "masked-LM loss", "masked-LM accuracy", "seconds"]
    papers = {
        "sharing": (["12M, 80.1", "64M, 81.7", "38M, 80.2", "89M, 81.6"], "table 4 (base, E = 128)"),
        "embedding": (["10M, 79.0", "12M, 80.1", "16M, 79.6"], "table 3 (base, all shared)"),
        "depth": ([""] * 4, ""), "dropout": (["90.7", "90.4"], "table 8 (xxlarge, average)"),
    }
    for study, (figures, place) in papers.items():
        values = [next(iter(change.values())) for change in STUDIES[study]]
        rows = [[value, *measures(results), *[figures[values.index(value)]] * bool(place)] for value, results in found(study)]
        tables[study] = table([study, *head, *["paper, " + place] * bool(place)], rows)
    figures = dict(zip(("none", "next-sentence", "sentence-order"),
                       ("54.9, 52.4, 53.3", "54.5, 90.5, 52.0", "54.0, 78.9, 86.5"), strict=True))
    rows = []
    for name, results in found("objective"):
        columns = [("masked_lm_accuracy",), ("next-sentence", "accuracy"), ("sentence-order", "accuracy")]
        cells = [", ".join(percent(functools.reduce(dict.get, path, result)) for result in results) for path in columns]
        rows.append([name, *cells, figures[name]])
    head = ["trained with", "masked words, of such samples", "next sentence", "sentence order", "paper, table 5, the same three"]
    tables["objective"] = table(head, rows)
    for study in set(STUDIES) - set(alike):
        tables[study] = about(common(study), [record for _, chosen in made(study) for record in chosen]) + "\n\n" + tables[study]
    for study in ("sharing", "depth"):
        steps = common(study)["steps"]
        plot({str(value): [*first["curve"], [steps, first["masked_lm_loss"]]] for value, (first, *_) in found(study)},
             docs / f"paper-{study}.svg")
        tables[study] += f"\n\n![Masked-LM loss on held-out text over the steps, by {study}](paper-{study}.svg)"
    return tables


def plot(curves, path, across="step", upwards="masked-LM loss on held-out text"):
    """Lines on white: steps, or something else, across, loss upwards."""
    left, right, width, height = 60, 90, 560, 300
    steps = [step for curve in curves.values() for step, _ in curve]
    losses = [loss for curve in curves.values() for _, loss in curve]
    low, high, last = min(losses), max(losses), max(steps)
    span = (high - low) or 1.0
    x = lambda step: left + step / last * (width - left - right)
    y = lambda loss: 20 + (height - 70) * (high - loss) / span
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
             '<rect width="100%" height="100%" fill="white"/>']
    for i in range(6):
        loss, step = low + span * i / 5, last * i / 5
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{y(loss):.1f}" y2="{y(loss):.1f}" stroke="#ddd"/>'
                     f'<text x="{left - 8}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss:.2f}</text>'
                     f'<text x="{x(step):.0f}" y="{height - 26}" text-anchor="middle">{step:.0f}</text>')
    parts.append(f'<text x="{x(last / 2):.0f}" y="{height - 8}" text-anchor="middle">{across}; upwards: {upwards}</text>')
    # Labels at the ends of the lines, with room for each above the axis.
    lines = sorted(zip(curves.items(), COLOURS), key=lambda pair: pair[0][1][-1][1])
    free = y(low) + 4
    for (name, curve), colour in lines:
        points = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in curve)
        place = min(y(curve[-1][1]) + 4, free)
        free = place - 14
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>'
                     f'<text x="{x(last) + 6:.0f}" y="{place:.1f}" fill="{colour}">{name}</text>')
    path.write_text("\n".join(parts) + "\n</svg>\n")


def render(file, options):
    docs = pathlib.Path(options.docs)
    page = docs / "paper.md"
    text = page.read_text()
    for name, content in (render_sizes(file) | render_speed(file) | render_small(file, docs)).items():
        mark = re.compile(rf"(<!-- table:{name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = mark.subn(lambda match: match[1] + content + "\n" + match[2], text)
        if count != 1:
            raise SystemExit(f"{page}: expected one <!-- table:{name} --> with an <!-- end -->, found {count}")
    page.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Measurements)
    verbs = parser.add_subparsers(required=True)
    measuring = argparse.ArgumentParser(add_help=False)
    measuring.add_argument("--albert", required=True, help="the program")
    measuring.add_argument("--threads", type=int, default=2)
    verb = verbs.add_parser("sizes", parents=[measuring])
    verb.set_defaults(what=sizes)
    verb = verbs.add_parser("speed", parents=[measuring])
    verb.set_defaults(what=speed)
    verb.add_argument("--models", nargs="+", choices=MODELS, default=["ALBERT base", "BERT base", "ALBERT large", "BERT large"])
    verb.add_argument("--batch", type=int, default=8)
    verb.add_argument("--seq", type=int, default=128)
    verb.add_argument("--iterations", type=int, default=3)
    verb.add_argument("--rounds", type=int, default=2)
    verb.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
    verb = verbs.add_parser("small", parents=[measuring])
    verb.set_defaults(what=small)
    verb.add_argument("text", nargs="+", help="text files")
    verb.add_argument("--tokenizer", type=pathlib.Path, required=True, help="its folder")
    verb.add_argument("--steps", type=int, required=True)
    verb.add_argument("--only", type=lambda text: text.split(","), default=list(STUDIES), help="studies [default: all]")
    verb.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[1], help="[default: 1]")
    verb.add_argument("--hidden", type=int, default=128, help="a multiple of 32")
    verb.add_argument("--batch", type=int, default=64)
    verb.add_argument("--length", default="16", help="tokens of a sample, as --max-seq-length takes them")
    verb.add_argument("--rate", type=float, default=2e-3)
    verb.add_argument("--warmup", type=int, default=300, help="steps")
    verb.add_argument("--optimizer", default="adamw")
    verb.add_argument("--held-out", type=float, default=0.01)
    verb.add_argument("--eval-samples", type=int, default=4000)
    verb.add_argument("--whole-sentences", action="store_true", help="samples that end where sentences do")
    verb.add_argument("--model", type=pathlib.Path, help="a model to begin from, instead of random weights: for --only objective")
    verb.add_argument("--work", help="folder for what a run leaves [default: the system's]")
    verb = verbs.add_parser("render")
    verb.set_defaults(what=render)
    verb.add_argument("docs", help="folder of paper.md")
    options = parser.parse_args()
    if options.what == small and options.model and options.only != ["objective"]:
        parser.error("--model: expected --only objective, since a model has its shape already")
    options.what(options.file, options)


if __name__ == "__main__":
    main()
