"""What 8 bits and bfloat16 cost trained checkpoints: ours beside ONNX Runtime's and OpenVINO's int8 of the same weights.

Usage: python low_precision_peers.py ALBERT WORK [--sst2 MODEL TSV] [--wnut MODEL CONLL] [--mlm MODEL TEXT]
ALBERT is the program, WORK a folder for the peers' files. Every engine gets the same arrays; PyTorch in f32 is the bar.
SST-2: accuracy. WNUT-17: accuracy of tokens and micro-F1 without O, the label on a word's first piece. Masked LM: loss and
accuracy of 15 % masked tokens of 64-token chunks. Needs torch, transformers, tokenizers, onnx, onnxruntime, openvino, nncf.
"""
import argparse, csv, pathlib, subprocess, tempfile
import numpy as np, torch
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
import transformers
transformers.logging.set_verbosity_error(); torch.set_grad_enabled(False)

class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__(); self.model = model
    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)[0]

def padded(rows, pad):
    length = max(map(len, rows)); ids = np.full((len(rows), length), pad, np.int64); mask = np.zeros_like(ids)
    for i, row in enumerate(rows): ids[i, :len(row)] = row; mask[i, :len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}

def peers(folder, name, work, sample):
    """The engines: a function from arrays to logits each."""
    model = getattr(transformers, name).from_pretrained(folder, attn_implementation="eager").eval()
    work = pathlib.Path(work); work.mkdir(parents=True, exist_ok=True); onnx, int8 = (str(work / f) for f in ("model.onnx", "ort-int8.onnx"))
    names = ["input_ids", "attention_mask", "token_type_ids"]; ids = torch.randint(5, 30000, (2, 32))
    mask = torch.ones_like(ids); mask[1, 20:] = 0  # a mask of ones alone is traced away
    torch.onnx.export(Logits(model), (ids, mask, torch.zeros_like(ids)), onnx, input_names=names, output_names=["logits"],
                      dynamic_axes={k: {0: "b", 1: "s"} for k in names + ["logits"]}, opset_version=17, dynamo=False)
    model = getattr(transformers, name).from_pretrained(folder, attn_implementation="eager").eval()  # exporting changes a model
    import nncf, onnxruntime as ort, openvino as ov
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(onnx, int8, weight_type=QuantType.QInt8)
    core = ov.Core(); graph = core.read_model(onnx); inputs = {x.any_name for x in graph.inputs}
    data = [{k: v for k, v in batch.items() if k in inputs} for batch in sample]
    quantized = nncf.quantize(graph, nncf.Dataset(data), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(data))
    session = ort.InferenceSession(int8, providers=["CPUExecutionProvider"]); compiled = core.compile_model(quantized, "CPU")
    wants = {x.name for x in session.get_inputs()}
    return {
        "PyTorch f32": lambda x: model(**{k: torch.from_numpy(v) for k, v in x.items()})[0].numpy(),
        "ONNX Runtime int8": lambda x: session.run(None, {k: v for k, v in x.items() if k in wants})[0],
        "OpenVINO int8": lambda x: compiled({k: v for k, v in x.items() if k in {i.any_name for i in compiled.inputs}})[0],
    }

def ours(albert, folder, name, dtype):
    def run(x):
        with tempfile.TemporaryDirectory() as td:
            save_file(x, f"{td}/in.safetensors")
            subprocess.run([albert, "forward", "--model", folder, "--class", name, "--dtype", dtype, "--inputs", f"{td}/in.safetensors", "--outputs", f"{td}/out.safetensors"], check=True, capture_output=True)
            out = load_file(f"{td}/out.safetensors"); return out.get("logits", out.get("prediction_logits"))
    return run

def engines(albert, folder, name, work, batches):
    all_ = peers(folder, name, work, [batches[i][0] for i in range(0, len(batches), max(1, len(batches) // 16))][:16])
    for dtype in ("f32", "bf16", "int8"): all_[f"albert {dtype}"] = ours(albert, folder, name, dtype)
    return all_

def main():
    p = argparse.ArgumentParser(); p.add_argument("albert"); p.add_argument("work")
    for flag in ("--sst2", "--wnut", "--mlm"): p.add_argument(flag, nargs=2)
    a = p.parse_args()
    if a.sst2:
        folder, file = a.sst2; tk = Tokenizer.from_file(f"{folder}/tokenizer.json"); lines = list(csv.DictReader(open(file), delimiter="\t", quoting=csv.QUOTE_NONE))
        rows = [tk.encode(l["sentence"]).ids for l in lines]; y = np.array([int(l["label"]) for l in lines]); order = np.argsort([len(r) for r in rows])
        batches = [(padded([rows[i] for i in order[k:k + 64]], 0), order[k:k + 64]) for k in range(0, len(order), 64)]
        for e, run in engines(a.albert, folder, "AlbertForSequenceClassification", f"{a.work}/sst2", batches).items():
            right = sum(int((run(x).argmax(-1) == y[at]).sum()) for x, at in batches); print(f"SST-2  {e:18s} accuracy {right / len(y):.4f}  ({right} of {len(y)})", flush=True)
    if a.wnut:
        folder, file = a.wnut; tk = Tokenizer.from_file(f"{folder}/tokenizer.json"); cls, sep = tk.token_to_id("[CLS]"), tk.token_to_id("[SEP]")
        labels = transformers.AlbertConfig.from_pretrained(folder).label2id; rows, gold = [], []
        for sentence in open(file, encoding="utf-8").read().split("\n\n"):
            row, lab = [cls], [-100]
            for line in sentence.splitlines():
                if "\t" not in line: continue
                word, tag = line.split("\t")[:2]; pieces = tk.encode(word, add_special_tokens=False).ids[:20]
                row += pieces; lab += [labels[tag]] + [-100] * (len(pieces) - 1) if pieces else []
            if len(row) > 1: rows.append(row[:127] + [sep]); gold.append(lab[:127] + [-100])
        order = np.argsort([len(r) for r in rows]); batches = [(padded([rows[i] for i in order[k:k + 64]], 0), order[k:k + 64]) for k in range(0, len(order), 64)]
        outside = labels["O"]
        for e, run in engines(a.albert, folder, "AlbertForTokenClassification", f"{a.work}/wnut", batches).items():
            right = total = hit = said = there = 0
            for x, at in batches:
                best = run(x).argmax(-1)
                for i, b in zip(at, best):
                    for g, s in zip(gold[i], b):
                        if g == -100: continue
                        total += 1; right += g == s; hit += g == s != outside; said += s != outside; there += g != outside
            print(f"WNUT-17  {e:18s} accuracy {right / total:.4f}  micro-F1 {2 * hit / (said + there):.4f}", flush=True)
    if a.mlm:
        folder, file = a.mlm; tk = Tokenizer.from_file(f"{folder}/tokenizer.json"); cls, sep, mask = (tk.token_to_id(t) for t in ("[CLS]", "[SEP]", "[MASK]")); rng = np.random.default_rng(0)
        rows, gold = [], []
        for line in open(file, encoding="utf-8"):
            ids = tk.encode(line.strip(), add_special_tokens=False).ids[:62]
            if len(ids) < 20: continue
            pick = rng.random(len(ids)) < 0.15; rows.append([cls] + [mask if q else t for t, q in zip(ids, pick)] + [sep]); gold.append(np.array([-100] + [t if q else -100 for t, q in zip(ids, pick)] + [-100]))
            if len(rows) == 640: break
        batches = [(padded(rows[k:k + 16], 0), range(k, min(k + 16, len(rows)))) for k in range(0, len(rows), 16)]
        for e, run in engines(a.albert, folder, "AlbertForMaskedLM", f"{a.work}/mlm", batches).items():
            nll = right = total = 0
            for x, at in batches:
                out = torch.from_numpy(run(x)).double()
                for i, row in zip(at, out):
                    g = torch.from_numpy(gold[i]); keep = g >= 0; lg = row[:len(g)][keep]
                    nll += float(torch.nn.functional.cross_entropy(lg, g[keep], reduction="sum")); right += int((lg.argmax(-1) == g[keep]).sum()); total += int(keep.sum())
            print(f"masked LM  {e:18s} loss {nll / total:.4f}  accuracy {right / total:.4f}  ({total} tokens)", flush=True)

if __name__ == "__main__": main()
