"""Writes fixtures/vocab/sentencepiece.json: what vocabularies of `spm_train` make of a text that they have not seen.

Usage: python make_vocab_golden.py [OUT]      OUT defaults to ../fixtures/vocab/sentencepiece.json; needs sentencepiece.

They are learned from fixtures/vocab/hound.txt.gz and measured on fixtures/vocab/held_out.txt.zst: Conan Doyle, The Hound of
the Baskervilles (1902, public domain), a paragraph on each line, cut in two. Written with sentencepiece 0.2.3.
"""
import json
import pathlib
import sys
import tempfile

import sentencepiece

from vocab_measure import measure, read, train

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures/vocab"


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER / "sentencepiece.json"
    lines, unseen = read(FOLDER / "hound.txt.gz"), read(FOLDER / "held_out.txt.zst")
    models = []
    with tempfile.TemporaryDirectory() as folder:
        for size in (300, 1000, 3000):
            model = train(lines, size, pathlib.Path(folder) / str(size))
            pieces = [[model.id_to_piece(i), model.get_score(i)] for i in range(size)]
            models.append(dict(vocab_size=size, held_out=measure(model, unseen), pieces=pieces))
        too_large = None
        try:
            train(lines, 100_000, pathlib.Path(folder) / "large")
        except RuntimeError as error:
            too_large = str(error)
    golden = dict(sentencepiece=sentencepiece.__version__, lines=len(lines), too_large=too_large, models=models)
    out.write_text(json.dumps(golden, ensure_ascii=False, indent=None, separators=(",", ":")) + "\n", encoding="utf-8")
    for model in models:
        print(model["vocab_size"], model["held_out"])
    print(too_large)


if __name__ == "__main__":
    main()
