"""Cuts a file of SQuAD in two by articles: what is learned from, and what is measured.

Usage: python split_squad.py IN.json ARTICLES TRAIN.json DEV.json [--answerable]
The first ARTICLES articles go to TRAIN.json; with --answerable, questions without an answer to neither: SQuAD v1.1's form.
"""
import argparse
import json
import pathlib


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=pathlib.Path), parser.add_argument("articles", type=int)
    parser.add_argument("targets", type=pathlib.Path, nargs=2), parser.add_argument("--answerable", action="store_true")
    a = parser.parse_args()
    whole = json.loads(a.source.read_text(encoding="utf-8"))
    if a.answerable:
        for paragraph in (p for article in whole["data"] for p in article["paragraphs"]):
            paragraph["qas"] = [qa for qa in paragraph["qas"] if not qa.get("is_impossible")]
    for target, part in zip(a.targets, (whole["data"][:a.articles], whole["data"][a.articles:])):
        target.write_text(json.dumps({**whole, "data": part}), encoding="utf-8")
        print(target, sum(len(p["qas"]) for article in part for p in article["paragraphs"]), "questions")


if __name__ == "__main__":
    main()
