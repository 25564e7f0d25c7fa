"""Writes fixtures/tokenizer/{unigram,wordpiece}.json and .jsonl: two small tokenizers and what the references make of lines.

Needs tokenizers 0.23.3 and transformers 5.23.0, and fixtures/tokenizer/albert.model (make_tokenizer_fixtures.py), whose
normaliser rules it takes:

    python tools/make_tokenizers_fixtures.py [FOLDER]

unigram.json is the published pipeline over a vocabulary that tokenizers trains here. Each line of unigram.jsonl has text,
fast and hf5: [id, start, end, word] for each piece, offsets in code points, as tokenizers and as transformers' AlbertTokenizer
make them of that file, decoded: the text of the ids, without special tokens. wordpiece.json is what BertTokenizerFast saves;
wordpiece.jsonl has text, fast and decoded.
"""
import json, os, random, sys, tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tokenizer_lines, tokenizers, transformers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.convert_slow_tokenizer import import_protobuf

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "tokenizer")
WORDS = """the a small large river mountain garden winter summer letter reader window teacher morning evening walks reads writes
opens closes carries remembers forgets follows counts paints quickly slowly never often always of in to and with under because
although unbelievable understanding reading writer painter 7 12 1998 2000 2,000 3.14 2000, 12, it is was not don't école""".split()
SPECIALS = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]


def corpus(r):
    return [" ".join(r.choice(WORDS) for _ in range(r.randint(3, 12))) + r.choice([".", ",", '"', " -"]) for _ in range(3000)]


def unigram(folder, lines):
    proto = import_protobuf().ModelProto()
    proto.ParseFromString(open(f"{folder}/albert.model", "rb").read())
    t = tokenizers.Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([
        normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(),
        normalizers.Lowercase(), normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
        normalizers.Replace(Regex(" {2,}"), " "),
    ])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.train_from_iterator(lines, trainers.UnigramTrainer(vocab_size=300, special_tokens=SPECIALS, unk_token="<unk>"))
    t.decoder = decoders.Metaspace()
    t.add_special_tokens([AddedToken("[MASK]", lstrip=True, special=True)])
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    t.save(f"{folder}/unigram.json", pretty=False)
    with tempfile.TemporaryDirectory() as model:
        t.save(f"{model}/tokenizer.json")
        hf5 = transformers.AlbertTokenizer.from_pretrained(model)._tokenizer
    return tokenizers.Tokenizer.from_file(f"{folder}/unigram.json"), hf5


def wordpiece(folder, lines):
    t = transformers.BertTokenizerFast(vocab={s: i for i, s in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])})._tokenizer
    t.train_from_iterator(lines + ["中文 字 日本"] * 50, trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], continuing_subword_prefix="##"))
    t.save(f"{folder}/wordpiece.json", pretty=False)
    return tokenizers.Tokenizer.from_file(f"{folder}/wordpiece.json")


def pieces(t, text):
    e = t.encode(text, add_special_tokens=False)
    return [[i, a, b, w] for i, (a, b), w in zip(e.ids, e.offsets, e.word_ids)]


def write(folder, name, texts, parts, decode):
    with open(f"{folder}/{name}.jsonl", "w", encoding="utf-8") as out:
        for text in texts:
            row = {"text": text, **{key: pieces(t, text) for key, t in parts.items()}}
            row["decoded"] = decode.decode([p[0] for p in row["fast"]], skip_special_tokens=True)
            out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else ROOT
    r = random.Random(5)
    lines = corpus(r)
    fast, hf5 = unigram(folder, lines)
    words = list(json.loads(fast.to_str())["model"]["vocab"])
    texts = ["", " ", "  ", "\n", "Hello  world ", " the [MASK] of", "a\u0301 école\r\nÉCOLE", "\x7fthe river, the ``garden''", "2000, 2,000 ½ …",
             "中文the字", "the<pad>river [SEP]", "\x00 ▁the", "unbelievable" * 20]
    texts += [line for kind, line in tokenizer_lines.lines(110, 3, [], [p for p, _ in words]) if kind != "long" and len(line) < 90]
    texts += [line for line in lines[:12]]
    write(folder, "unigram", texts, {"fast": fast, "hf5": hf5}, fast)
    bert = wordpiece(folder, lines)
    write(folder, "wordpiece", texts, {"fast": bert}, bert)
    print("tokenizers", tokenizers.__version__, "transformers", transformers.__version__, len(texts), "texts")


if __name__ == "__main__":
    main()
