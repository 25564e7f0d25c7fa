"""Prints the accuracy of sequence classifiers on a file of SST-2's form: a heading, then sentence TAB label.

Usage: python sst2_accuracy.py DEV.tsv FOLDER…      needs transformers and tokenizer.json in each folder
"""
import pathlib
import sys

import torch
from transformers import AlbertForSequenceClassification, AlbertTokenizerFast, logging


@torch.no_grad()
def main():
    logging.set_verbosity_error()
    lines = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")[1:]
    rows = [line.rsplit("\t", 1) for line in lines if line]
    for folder in sys.argv[2:]:
        model, tokenizer = AlbertForSequenceClassification.from_pretrained(folder).eval(), AlbertTokenizerFast.from_pretrained(folder)
        right = 0
        for start in range(0, len(rows), 32):
            texts, labels = zip(*rows[start:start + 32])
            made = tokenizer(list(texts), padding=True, truncation=True, max_length=512, return_tensors="pt")
            right += int((model(**made).logits.argmax(-1) == torch.tensor([int(label) for label in labels])).sum())
        print(f"{right / len(rows):.4f}  {right} of {len(rows)}  {folder}")


if __name__ == "__main__":
    main()
