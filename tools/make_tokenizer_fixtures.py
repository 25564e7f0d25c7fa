"""Writes fixtures/tokenizer: tiny SentencePiece models of our own text, and what the references make of lines.

Needs sentencepiece 0.2.3 (trainer, encoder), transformers 4.30.2 (the slow AlbertTokenizer), and tokenization.py
of google-research/albert:

    python tools/make_tokenizer_fixtures.py tokenization.py [FOLDER]

Each model has its own normaliser rules (rules.tsv in this script) or none. For each model NAME.model there is
NAME.jsonl: one object for each line with text, ids, spans (start and end in bytes), decoded, and for the model
`albert` also slow, slow_decoded, keep_accents, google (ids of the modes) and nbest ([bits of the score, ids]).
"""
import importlib.util, io, json, os, random, shutil, struct, sys, tempfile, types

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sentencepiece, tokenizer_lines, transformers

WORDS = """the a small large old new river mountain garden winter summer letter engine reader window teacher morning evening
walks reads writes opens closes carries remembers forgets follows counts paints repairs quickly slowly never often always
of in to and with under over between before after because although who which that this these those unbelievable understanding
reading writer openness counting counted painter painting repaired 7 12 1998 2000 2,000 3.14 2000, 12, it is was are not don't
aaaa bbbb abab""".split()
RULES = """9\t20
a0\t20
3000\t20
7f\t
200b\t20
ff21\t41
ff41\t61
fb01\t66 69
2026\t2e 2e 2e
61 301\te1
65 301\te9
bd\t31 2044 32
ac00 11a8\tac01
"""
EXTRA = ["", " ", "  ", "\t", "▁", "▁▁a", "a▁", "the\x7f", "\x7fthe", "a\x7f b", "fi ﬁ ｆ Ａａ", "a\u0301a e\u0301.", "…the…", "½,", "2000,", "the 2000, 12,", "12,000,",
         "the  river", " the river ", "\u3000the\u3000\u3000river\u3000", "(the)-river", "((--))", "THE River", "[CLS] the [MASK] river [SEP]", "<pad><unk>", "[MASK][MASK]a",
         "a \u200b b", "가\u11a8", "é", "字字 字", "aaaaaaaaaaaaaaaaaaaa", "abababababababab", "unbelievable" * 12, "``the''", "'''", "`", "ΟΔΟΣ", "İ", "𝚺 a𝚺", "\x00", "a\x00b", "٣,"]


def write_text(path):
    r = random.Random(5)
    with open(path, "w", encoding="utf-8") as f:
        for _ in range(3000):
            words = [r.choice(WORDS) for _ in range(r.randint(3, 12))]
            line = " ".join(words)
            if r.random() < 0.3:
                line = line.replace(" ", " (", 1) + ")"
            f.write(line + r.choice([".", ".", ",", " - café", "..."]) + "\n")


def bits(x):
    return struct.unpack("I", struct.pack("f", x))[0]


def google(path):
    for name in ["tensorflow", "tensorflow.compat", "tensorflow.compat.v1", "tensorflow_hub"]:
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["tensorflow"].compat = sys.modules["tensorflow.compat"]
    sys.modules["tensorflow.compat"].v1 = sys.modules["tensorflow.compat.v1"]
    six = types.ModuleType("six")
    six.PY2, six.PY3, six.text_type = False, True, str
    six.ensure_binary = lambda s: s.encode() if isinstance(s, str) else s
    six.ensure_text = lambda s, encoding="utf-8", errors="strict": s.decode(encoding, errors) if isinstance(s, bytes) else s
    six.moves = types.ModuleType("six.moves")
    six.moves.range = range
    sys.modules.setdefault("six", six)
    sys.modules.setdefault("six.moves", six.moves)
    spec = importlib.util.spec_from_file_location("albert_tokenization", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    script = google(sys.argv[1])
    folder = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else "fixtures/tokenizer")
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # models keep the names of their files
        write_text("text.txt")
        open("rules.tsv", "w").write(RULES)
        albert = dict(unk_id=1, pad_id=0, bos_id=-1, eos_id=-1, control_symbols="[CLS],[SEP],[MASK]", user_defined_symbols="(,),-,.")
        models = {
            "albert": dict(albert, normalization_rule_tsv="rules.tsv"),
            "crossing": dict(albert, split_by_whitespace=False, normalization_rule_tsv="rules.tsv", user_defined_symbols="(,),the river"),
            "suffix": dict(treat_whitespace_as_suffix=True, normalization_rule_name="identity"),
            "bytes": dict(byte_fallback=True, normalization_rule_name="identity", user_defined_symbols="river"),
            "spaces": dict(remove_extra_whitespaces=False, normalization_rule_name="identity", allow_whitespace_only_pieces=True),
            "bare": dict(add_dummy_prefix=False, normalization_rule_tsv="rules.tsv"),
        }
        for name, options in models.items():
            model = io.BytesIO()
            sentencepiece.SentencePieceTrainer.Train(
                sentence_iterator=iter(open("text.txt", encoding="utf-8").read().splitlines()), model_writer=model,
                model_type="unigram", vocab_size=420 if name == "bytes" else 190, num_threads=1, minloglevel=2, **options)
            open(f"{folder}/{name}.model", "wb").write(model.getvalue())
            sp = sentencepiece.SentencePieceProcessor()
            sp.Load(f"{folder}/{name}.model")
            pieces = [sp.IdToPiece(i) for i in range(sp.GetPieceSize())]
            random_lines = [line for kind, line in tokenizer_lines.lines(130, 11, ["text.txt"], pieces) if kind != "long" and len(line) < 70]
            lines = EXTRA + (random_lines if name == "albert" else random_lines[::3])
            if name == "albert":
                with tempfile.TemporaryDirectory() as hub:
                    shutil.copy(f"{folder}/{name}.model", f"{hub}/spiece.model")
                    slow = transformers.AlbertTokenizer.from_pretrained(hub)
                    accents = transformers.AlbertTokenizer.from_pretrained(hub, keep_accents=True)
            with open(f"{folder}/{name}.jsonl", "w", encoding="utf-8") as f:
                for line in lines:
                    proto = sp.Encode(line.encode(), return_type="proto")
                    row = {"text": line, "ids": [p.id for p in proto.pieces], "spans": [[p.begin, p.end] for p in proto.pieces]}
                    row["decoded"] = sp.Decode(row["ids"])
                    if name == "albert":
                        ids = slow.convert_tokens_to_ids(slow.tokenize(line))
                        row["slow"] = ids
                        row["slow_decoded"] = [slow.decode([2] + ids + [3], clean_up_tokenization_spaces=False), slow.decode([2] + ids + [3], skip_special_tokens=True, clean_up_tokenization_spaces=False)]
                        row["keep_accents"] = accents.convert_tokens_to_ids(accents.tokenize(line))
                        row["google"] = script.encode_ids(sp, script.preprocess_text(line, lower=True))
                        if len(line) < 40:
                            nbest = sp.NBestEncode(line.encode(), nbest_size=6, return_type="proto").nbests
                            row["nbest"] = [[bits(n.score), [p.id for p in n.pieces]] for n in nbest]
                    f.write(json.dumps(row, ensure_ascii=True) + "\n")
    print("sentencepiece", sentencepiece.__version__, "transformers", transformers.__version__, "python", sys.version.split()[0])


main()
