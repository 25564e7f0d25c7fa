"""What a vocabulary makes of a text, and `spm_train` with the flags of the published English ALBERT models.

A library of make_vocab_golden.py and vocab_peers.py; needs sentencepiece.
"""
import gzip
import subprocess
import unicodedata

import sentencepiece

CONTROL = ["[CLS]", "[SEP]", "[MASK]"]
USER = ["(", ")", '"', "-", ".", "–", "£", "€"]


def prepare(text, lower=True):
    """ALBERT's preprocessing of a line, as transformers' slow tokenizer has it."""
    text = " ".join(text.split()).replace("``", '"').replace("''", '"')
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return text.lower() if lower else text


def read(path):
    """Prepared lines of a text file, plain or compressed, without blank ones."""
    path = str(path)
    if path.endswith(".gz"):
        data = gzip.open(path).read()
    elif path.endswith(".zst"):
        data = subprocess.run(["zstd", "-dqc", path], stdout=subprocess.PIPE, check=True).stdout
    else:
        data = open(path, "rb").read()
    lines = (prepare(line) for line in data.decode("utf-8").split("\n"))
    return [line for line in lines if line]


def train(lines, vocab_size, prefix, threads=1, **flags):
    """`spm_train` on prepared lines."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(prefix), vocab_size=vocab_size, model_type="unigram",
        pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=CONTROL, user_defined_symbols=USER,
        character_coverage=0.99995, input_sentence_size=10_000_000, shuffle_input_sentence=True,
        max_sentence_length=1 << 26, num_threads=threads, minloglevel=1, **flags)
    return sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")


def measure(model, lines):
    """Tokens, unknown ones, words, characters, and the log-likelihood of the best segmentation in nats.

    Characters are those of the normalised text with its marks of words. Reserved symbols have likelihood 1, unknown
    characters the lowest score less 10, as SentencePiece counts them.
    """
    size = model.get_piece_size()
    scores = [model.get_score(i) for i in range(size)]
    normal = [i for i in range(size) if not (model.is_control(i) or model.is_unknown(i)) and model.id_to_piece(i) not in USER]
    unknown = min(scores[i] for i in normal) - 10
    total = dict(tokens=0, unknown=0, words=0, characters=0, log_likelihood=0.0)
    for line in lines:
        ids = model.encode(line)
        pieces = model.encode(line, out_type=str)
        total["tokens"] += len(ids)
        total["words"] += len(line.split())
        for i, piece in zip(ids, pieces):
            total["characters"] += len(piece)
            if model.is_unknown(i):
                # A run of unknown characters is one piece.
                total["unknown"] += 1
                total["log_likelihood"] += unknown * len(piece)
            elif piece not in USER:
                total["log_likelihood"] += scores[i]
    return total


def rates(total):
    return dict(tokens_per_word=total["tokens"] / total["words"],
                nats_per_character=-total["log_likelihood"] / total["characters"])
