"""Cuts a file of SQuAD in two by articles: what is learned from, and what is measured.

Usage: python split_squad.py IN.json ARTICLES TRAIN.json DEV.json    the first ARTICLES articles go to TRAIN.json
"""
import json
import pathlib
import sys


def main():
    source, articles, *targets = sys.argv[1:]
    whole = json.loads(pathlib.Path(source).read_text(encoding="utf-8"))
    cut = int(articles)
    for target, part in zip(targets, (whole["data"][:cut], whole["data"][cut:])):
        pathlib.Path(target).write_text(json.dumps({**whole, "data": part}), encoding="utf-8")
        print(target, sum(len(p["qas"]) for a in part for p in a["paragraphs"]), "questions")


if __name__ == "__main__":
    main()
