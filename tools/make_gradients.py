"""Writes the goldens of training: gradients and ten losses of small ALBERTs by PyTorch in f64.

Usage: python make_gradients.py [OUT]    OUT defaults to ../fixtures/gradients; needs transformers 5.23, torch, safetensors.

OUT/<case>/config.json, model.safetensors   the checkpoint, in f32
OUT/<case>/inputs.safetensors               ids, masks and labels: a ragged batch, padded on the right
OUT/<case>/expected.safetensors            f64, under the names of the parameters: of the loss, no dropout
OUT/<case>/expected.json                    class, loss, and of PyTorch's own f32 run the largest deviation from f64 of each
                                            gradient; ten losses of training with AdamW (see `STEP`) in f64 and in f32
"""
import json
import pathlib
import sys

import torch
import transformers
from transformers.models.xlnet import modeling_xlnet as xlnet
from safetensors.torch import save_file

from goldens import MEDIUM, SMALL, tokens

ROOT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "gradients"
STEP = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
LENGTHS = [13, 5, 9, 1]


class AlbertForJointQuestionAnswering(transformers.AlbertPreTrainedModel):
    """The head of google-research/albert's run_squad_v2 from the layers that transformers has for XLNet.

    p_mask is 0 where an answer may be. The layer for "no answer" reads the mean over all starts, in training too."""

    def __init__(self, config):
        super().__init__(config)
        self.albert = transformers.AlbertModel(config, add_pooling_layer=False)
        self.start_logits = xlnet.XLNetPoolerStartLogits(config)
        self.end_logits = xlnet.XLNetPoolerEndLogits(config)
        self.answer_class = xlnet.XLNetPoolerAnswerClass(config)
        self.post_init()

    def forward(self, start_positions, end_positions, is_impossible, p_mask, **inputs):
        h = self.albert(**inputs).last_hidden_state
        start = self.start_logits(h, p_mask=p_mask)
        mean = torch.einsum("bl,blh->bh", start.softmax(-1), h)
        none = self.answer_class(h, start_states=mean, cls_index=torch.zeros(len(h), dtype=torch.long))
        end = self.end_logits(h, start_positions=start_positions, p_mask=p_mask)
        cross = torch.nn.functional.cross_entropy
        loss = (cross(start, start_positions) + cross(end, end_positions)) / 2
        loss = loss + torch.nn.functional.binary_cross_entropy_with_logits(none, is_impossible.to(none.dtype)) / 2
        return transformers.utils.ModelOutput(loss=loss, hidden=h, start=start, none=none)

    def tops(self, p_mask, **inputs):
        """The five best starts of each sequence, the five best ends of each, and "no answer"."""
        out = self(p_mask=p_mask, **inputs)
        logs, places = out.start.log_softmax(-1).topk(5)
        ends = []
        for place in places.T:
            ends.append(self.end_logits(out.hidden, start_positions=place, p_mask=p_mask).log_softmax(-1).topk(5))
        values, index = (torch.cat([e[i] for e in ends], 1) for i in (0, 1))
        return dict(start_top_log_probs=logs, start_top_index=places, end_top_log_probs=values, end_top_index=index, cls_logits=out.none)


def answers(inputs):
    """A question of a third of each sequence, answers in the rest; the third sequence has no answer."""
    place, lengths = torch.arange(max(LENGTHS))[None], torch.tensor(LENGTHS)[:, None]
    second = (place > lengths // 3) & (place < lengths) & (lengths > 1)
    inputs["token_type_ids"] = second.long()
    allowed = second & (place < lengths - 1) | (place == 0)
    return {"start_positions": torch.tensor([6, 3, 0, 0]), "end_positions": torch.tensor([8, 3, 0, 0]),
            "is_impossible": torch.tensor([0, 0, 1, 1]), "p_mask": (~allowed).long()}


def ragged(config, generator, rows=4):
    lengths = torch.tensor(LENGTHS * (rows // 4))[:, None]
    place = torch.arange(max(LENGTHS))[None]
    mask = (place < lengths).long()
    ids = tokens(config, generator, rows, max(LENGTHS)) * mask
    return {"input_ids": ids, "attention_mask": mask,
            "token_type_ids": torch.randint(0, config.type_vocab_size, ids.shape, generator=generator) * mask}


def token_labels(classes):
    """About half of the tokens; none that is masked."""
    def make(config, generator, mask):
        labels = torch.randint(0, classes(config), mask.shape, generator=generator)
        return torch.where((torch.rand(mask.shape, generator=generator) < 0.5) & (mask > 0), labels, -100)
    return make


def draw(count, *, real=False):
    def make(config, generator, mask):
        if real:
            return torch.randn(mask.shape[0], *([count] if count > 1 else []), generator=generator)
        return torch.randint(0, count, (mask.shape[0],), generator=generator)
    return make


def coins(count):
    return lambda config, generator, mask: torch.randint(0, 2, (mask.shape[0], count), generator=generator).float()


VOCABULARY, LABELS = token_labels(lambda c: c.vocab_size), token_labels(lambda c: c.num_labels)
# name: class, configuration, labels
CASES = {
    "pretraining": ("AlbertForPreTraining", dict(SMALL, num_hidden_layers=3), dict(labels=VOCABULARY, sentence_order_label=draw(2))),
    "groups": ("AlbertForPreTraining", dict(SMALL, num_hidden_layers=4, num_hidden_groups=2, inner_group_num=2, hidden_act="gelu"),
               dict(labels=VOCABULARY, sentence_order_label=draw(2))),
    "masked_lm": ("AlbertForMaskedLM", dict(MEDIUM, hidden_act="relu"), dict(labels=VOCABULARY)),
    "untied_decoder": ("AlbertForMaskedLM", dict(SMALL, tie_word_embeddings=False), dict(labels=VOCABULARY)),
    "single_label": ("AlbertForSequenceClassification", dict(SMALL, num_labels=3, problem_type="single_label_classification"), dict(labels=draw(3))),
    "multi_label": ("AlbertForSequenceClassification", dict(SMALL, num_labels=3, problem_type="multi_label_classification"), dict(labels=coins(3))),
    "regression": ("AlbertForSequenceClassification", dict(SMALL, num_labels=1, problem_type="regression"), dict(labels=draw(1, real=True))),
    "token_classification": ("AlbertForTokenClassification", dict(MEDIUM, num_labels=5, hidden_size=78, num_attention_heads=3), dict(labels=LABELS)),
    "question_answering": ("AlbertForQuestionAnswering", dict(SMALL, num_hidden_groups=2), dict(start_positions=draw(14), end_positions=draw(14))),
    "multiple_choice": ("AlbertForMultipleChoice", dict(SMALL), dict(labels=draw(4))),
    "joint_question_answering": ("AlbertForJointQuestionAnswering", dict(SMALL, num_hidden_groups=2), {}),
}


def loss_and_gradients(model, inputs):
    model.zero_grad()
    loss = model(**inputs).loss
    loss.backward()
    return loss.item(), {n: p.grad.detach().clone().double() for n, p in model.named_parameters() if p.grad is not None}


def ten_losses(model, inputs):
    optimizer = torch.optim.AdamW(model.parameters(), **STEP)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = model(**inputs).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    for seed, (name, (class_name, fields, labels)) in enumerate(CASES.items()):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        config = transformers.AlbertConfig(**fields, initializer_range=0.2, attn_implementation="eager")
        cls = globals().get(class_name) or getattr(transformers, class_name)
        model = cls(config)
        for p in model.parameters():  # norms and biases away from 1 and 0
            if p.dim() == 1:
                p.data += 0.2 * torch.randn(p.shape, generator=generator)
        model.save_pretrained(folder)
        inputs = ragged(config, generator, 8 if class_name.endswith("Choice") else 4)
        if class_name.endswith("Choice"):
            inputs = {n: t.view(2, 4, -1) for n, t in inputs.items()}
        joint = class_name == "AlbertForJointQuestionAnswering"
        if joint:
            inputs |= answers(inputs)
        inputs |= {n: make(config, generator, inputs["attention_mask"]) for n, make in labels.items()}
        save_file({n: t.contiguous() for n, t in inputs.items() if n != "p_mask"}, folder / "inputs.safetensors")

        def run(dtype):
            def load():
                return cls.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
            cast = {n: t.to(dtype) if t.is_floating_point() else t for n, t in inputs.items()}
            return *loss_and_gradients(load(), cast), ten_losses(load(), cast)
        loss, gradients, losses = run(torch.float64)
        _, single, single_losses = run(torch.float32)
        save_file({n: g.contiguous() for n, g in gradients.items()}, folder / "expected.safetensors")
        expected = {
            "class": class_name, "made_by": "tools/make_gradients.py",
            "versions": {"transformers": transformers.__version__, "torch": torch.__version__},
            "loss": loss, "hf_f32_error": {n: (g - single[n]).abs().max().item() for n, g in gradients.items()},
            "adamw": STEP, "losses": losses, "losses_f32": single_losses,
        }
        if joint:
            with torch.no_grad():
                tops = cls.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval().tops(**inputs)
            expected["outputs"] = {n: t.tolist() for n, t in tops.items()}
        (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
        print(f"{name:22} loss {loss:.6f}, after ten steps {losses[-1]:.6f}, {len(gradients)} gradients")


if __name__ == "__main__":
    main()
