#!/usr/bin/env python3
"""Writes crates/train/assets/nmt_nfkc.charsmap.gz: the normaliser's rules of the English ALBERT models.

    python tools/make_charsmap.py spiece.model

They are copied from the SentencePiece model of a published one (albert-base-v2 and its kin have the same), so that a
vocabulary that `albert vocab train` learns normalises texts as the published ones do. Needs no package; the same model gives
the same bytes with the same zlib. Run with Python 3.11.
"""

import gzip
import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "crates/train/assets/nmt_nfkc.charsmap.gz"


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data: bytes):
    """(number, value) of a protobuf message: bytes for texts and messages, numbers else."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 2:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            size = {1: 8, 5: 4}[wire]
            value, at = data[at : at + size], at + size
        yield number, value


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    model = dict(fields(Path(sys.argv[1]).read_bytes()))  # field 3 is the normaliser
    normalizer = dict(fields(model[3]))
    assert normalizer[1] == b"nmt_nfkc", normalizer[1]
    rules = normalizer[2]
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(gzip.compress(rules, 9, mtime=0))
    print(f"{TARGET.relative_to(ROOT)}: {len(rules)} bytes in {TARGET.stat().st_size}, sha256 {hashlib.sha256(rules).hexdigest()}")


main()
