"""Writes the goldens of optimisers and schedules: fixtures/optim/optimizers.json and schedules.json.

Usage: python make_optimizer_goldens.py [OUT]      OUT defaults to ../fixtures/optim; needs torch and transformers.

Standard AdamW and the clip are torch's own, in f64 and in f32; schedules are transformers' own. Google's AdamW and LAMB
and the published LAMB are written here in numpy f64 from the formulas of lamb_optimizer.py, optimization.py
(google-research/albert) and arXiv:1904.00962, algorithm 2. The gradients are given, not computed: they are drawn in f32,
so that all precisions start from the same numbers.
"""
import json
import pathlib
import sys

import numpy as np
import torch
import transformers

NAMES = {  # name: shape; LayerNorm and bias are excluded, a zero weight has r = 1
    "albert.embeddings.word_embeddings.weight": (7, 5),
    "albert.embeddings.LayerNorm.weight": (5,),
    "albert.encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight": (6, 6),
    "albert.encoder.albert_layer_groups.0.albert_layers.0.attention.key.weight": (6, 6),
    "albert.encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.weight": (6,),
    "albert.pooler.bias": (6,),
    "classifier.weight": (3, 6),
}
STEPS, LR, DECAY = 12, 0.03, 0.1


def excluded(name):
    return any(part in name for part in ("LayerNorm", "layer_norm", "bias"))


def draw():
    rng = np.random.default_rng(20191126)
    weights = {n: rng.normal(0, 0.3, s).astype(np.float32) for n, s in NAMES.items()}
    weights["classifier.weight"][:] = 0
    scales = [3.0 if step % 3 else 0.05 for step in range(STEPS)]  # clipped and not clipped
    gradients = [{n: (rng.normal(0, 0.2, s) * scale).astype(np.float32) for n, s in NAMES.items()} for scale in scales]
    return weights, gradients


def torch_adamw(weights, gradients, dtype, max_norm):
    """torch.optim.AdamW with transformers' two groups, after clip_grad_norm_."""
    parameters = {n: torch.nn.Parameter(torch.tensor(w).to(dtype)) for n, w in weights.items()}
    groups = [{"params": [p for n, p in parameters.items() if excluded(n) == flag], "weight_decay": 0.0 if flag else DECAY}
              for flag in (False, True)]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.999), eps=1e-8, foreach=False)
    norms = []
    for step, gradient in enumerate(gradients):
        for name, parameter in parameters.items():
            parameter.grad = torch.tensor(gradient[name]).to(dtype)
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm, foreach=False)))
        for group in optimizer.param_groups:
            group["lr"] = LR * (step + 1) / STEPS
        optimizer.step()
    return {n: p.detach().numpy() for n, p in parameters.items()}, norms


def numpy_rule(weights, gradients, lamb, google):
    """Google's AdamW and LAMB (google) and LAMB as published (not google), after the global clip at 1."""
    w = {n: x.astype(np.float64) for n, x in weights.items()}
    m = {n: np.zeros_like(x) for n, x in w.items()}
    v = {n: np.zeros_like(x) for n, x in w.items()}
    for step, gradient in enumerate(gradients):
        rate = LR * (step + 1) / STEPS
        g = {n: x.astype(np.float64) for n, x in gradient.items()}
        norm = np.sqrt(sum((x * x).sum() for x in g.values()))
        clip = 1 / max(norm, 1.0) if google else min(1.0, 1 / (norm + 1e-6))
        for n in w:
            grad = g[n] * clip
            m[n] = 0.9 * m[n] + (1 - 0.9) * grad
            v[n] = 0.999 * v[n] + (1 - 0.999) * grad * grad
            mean, square = (m[n], v[n]) if google else (m[n] / (1 - 0.9 ** (step + 1)), v[n] / (1 - 0.999 ** (step + 1)))
            u = mean / (np.sqrt(square) + 1e-6)
            ratio = 1.0
            if not excluded(n):
                u = u + DECAY * w[n]
                w_norm, u_norm = np.linalg.norm(w[n]), np.linalg.norm(u)
                if lamb and w_norm > 0 and u_norm > 0:
                    ratio = w_norm / u_norm
            w[n] = w[n] - ratio * rate * u
    return w


def flat(arrays):
    return [float(x) for name in NAMES for x in np.asarray(arrays[name]).ravel()]


def schedules():
    cases = []

    def case(kind, name, warmup, total, specific=None, **ours):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.002)
        specific = specific or {}
        if name == "inverse_sqrt":
            scheduler = transformers.get_inverse_sqrt_schedule(optimizer, warmup, **specific)
        else:
            scheduler = transformers.get_scheduler(name, optimizer, warmup, total, scheduler_specific_kwargs=specific)
        rates = []
        for _ in range(total + 6):
            rates.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
        cases.append({"kind": {kind: ours} if ours or kind == "inverse_sqrt" else kind, "warmup": warmup, "total": total,
                      "base": 0.002, "rates": rates})

    for warmup, total in ((0, 20), (5, 23), (1, 4)):
        case("constant", "constant", warmup, total)
        case("constant_with_warmup", "constant_with_warmup", warmup, total)
        case("linear", "linear", warmup, total)
        case("cosine", "cosine", warmup, total, cycles=0.5)
        case("cosine", "cosine", warmup, total, {"num_cycles": 1.5}, cycles=1.5)
        case("cosine_with_restarts", "cosine_with_restarts", warmup, total, {"num_cycles": 3}, cycles=3.0)
        case("polynomial", "polynomial", warmup, total, end=1e-7, power=1.0)
        case("polynomial", "polynomial", warmup, total, {"lr_end": 1e-4, "power": 2.5}, end=1e-4, power=2.5)
        case("inverse_sqrt", "inverse_sqrt", warmup, total, timescale=None)
        case("inverse_sqrt", "inverse_sqrt", warmup, total, {"timescale": 7}, timescale=7)
    return cases


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "fixtures/optim")
    out.mkdir(parents=True, exist_ok=True)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "numpy": np.__version__}
    weights, gradients = draw()
    single, _ = torch_adamw(weights, gradients, torch.float32, 1.0)
    double, norms = torch_adamw(weights, gradients, torch.float64, 1.0)
    optimizers = {
        "versions": versions, "variables": [{"name": n, "shape": list(s)} for n, s in NAMES.items()],
        "learning_rate": LR, "weight_decay": DECAY, "steps": STEPS, "weights": flat(weights),
        "gradients": [flat(g) for g in gradients], "norms": norms,
        "expected": {
            "adamw.standard": flat(double), "adamw.standard.f32": flat(single),
            "adamw.google": flat(numpy_rule(weights, gradients, False, True)),
            "lamb.google": flat(numpy_rule(weights, gradients, True, True)),
            "lamb.standard": flat(numpy_rule(weights, gradients, True, False)),
        },
    }
    (out / "optimizers.json").write_text(json.dumps(optimizers) + "\n")
    (out / "schedules.json").write_text(json.dumps({"versions": versions, "cases": schedules()}) + "\n")


if __name__ == "__main__":
    main()
