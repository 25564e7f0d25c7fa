"""Writes the goldens of the model: small ALBERTs, their inputs and transformers 5.23's outputs in f64.

Usage: python make_goldens.py [OUT]      OUT defaults to ../fixtures/model; needs transformers 5.23, torch, safetensors.

OUT/<case>/config.json, model.safetensors   the checkpoint, as transformers saves it (or an older dialect; see the case)
OUT/<case>/inputs.safetensors               int64 ids, masks, labels; f32 for inputs_embeds, float masks, float labels
OUT/<case>/expected.safetensors             f64 under transformers' names: last_hidden_state, pooler_output, logits,
                                            prediction_logits, sop_logits, start_logits, end_logits, loss (shape []),
                                            hidden_states.0 … hidden_states.LN, attentions.0 … attentions.LN-1
OUT/<case>/expected.json                    class, what the case pins, versions, `hf_f32_error`: max deviation of
                                            transformers' own f32 run over the unmasked positions, per output

Masked positions: expected tensors are transformers' full outputs. Per-token rows of masked positions and attention rows
of masked queries are for the reader to leave out, as `hf_f32_error` does. Keys are masked where attention_mask is 0.

`activations` and `sensitivity` hold several forwards over one file: names carry the variant as prefix ("relu.logits").
`sensitivity` holds "right" beside wrong variants; "distance" in its expected.json says how far each is from right.

`intermediates/intermediates.safetensors` (f64), block i in execution order:
  embeddings.sum, embeddings.LayerNorm [B,S,E]; encoder.embedding_hidden_mapping_in [B,S,H]
  block.i.query, .key, .value [B,A,S,D]; .scores (scaled, before the mask), .probs [B,A,S,S]; .context [B,S,H];
  .attention.dense, .attention.LayerNorm [B,S,H]; .ffn, .activation [B,S,F]; .ffn_output, .output [B,S,H]
  pooler.preactivation, pooler.output [B,H]; sop_classifier.logits [B,2]
  predictions.dense, .activation, .LayerNorm [B,S,E]; predictions.logits [B,S,V]
  loss.masked_lm, loss.sentence_order, loss []
They come from a second, plain computation that is asserted equal to the model's outputs to 1e-12.
"""
import dataclasses
import pathlib
import sys

import safetensors.torch
import torch
from torch.nn.functional import cross_entropy, layer_norm, linear

import goldens
import reference
from goldens import MEDIUM, Case, Variant, padded, plain, tokens

# ---------------------------------------------------------------- inputs

def with_labels(**make):
    """`padded` and labels: each keyword is (config, generator, B, S) -> tensor."""
    def inputs(config, generator):
        made = padded(config, generator)
        made.update({name: maker(config, generator, *made["input_ids"].shape) for name, maker in make.items()})
        return made
    return inputs


def token_labels(classes):
    """[B,S] labels, about half of them -100; the last position of the last row is masked and has a label."""
    def make(config, generator, batch, length):
        labels = torch.randint(0, classes(config), (batch, length), generator=generator)
        labels[torch.rand(batch, length, generator=generator) < 0.5] = -100
        labels[0, 1] = 3 % classes(config)
        labels[-1, -1] = 1
        return labels
    return make


def class_labels(classes):
    """[B] labels below `classes`."""
    return lambda config, generator, batch, length: torch.randint(0, classes, (batch,), generator=generator)


def float_labels(*tail):
    """[B, *tail] real labels."""
    return lambda config, generator, batch, length: torch.randn(batch, *tail, generator=generator)


def binary_labels(count):
    """[B, count] zeros and ones as floats."""
    return lambda config, generator, batch, length: torch.randint(0, 2, (batch, count), generator=generator).float()


def choices(config, generator):
    """[B,K,S] inputs with masks, token types and labels."""
    batch, count, length = 2, 3, 6
    flat = padded(config, generator, batch * count, length)
    made = {name: value.view(batch, count, length) for name, value in flat.items()}
    return {**made, "labels": torch.tensor([2, 0])}


MASK_ROWS = {
    "nothing masked": [1, 1, 1, 1, 1, 1, 1, 1], "right padding": [1, 1, 1, 1, 1, 0, 0, 0],
    "left padding": [0, 0, 0, 1, 1, 1, 1, 1], "holes": [1, 0, 1, 1, 0, 0, 1, 1], "position 0": [0, 1, 1, 1, 1, 1, 1, 1],
    "fully masked": [0] * 8, "one key": [0, 0, 0, 1, 0, 0, 0, 0],
}


def masks(config, generator):
    """One row per pattern of MASK_ROWS."""
    mask = torch.tensor(list(MASK_ROWS.values()))
    return {"input_ids": tokens(config, generator, *mask.shape), "attention_mask": mask}


def few_masks(config, generator):
    """Two rows: right padding and fully masked."""
    mask = torch.tensor([MASK_ROWS["right padding"], MASK_ROWS["fully masked"]])
    return {"input_ids": tokens(config, generator, *mask.shape), "attention_mask": mask}


def fractional_mask(config, generator):
    """A float mask: transformers 5 casts to bool, so that every value but 0 keeps the key."""
    mask = torch.tensor([[1.0, 0.5, 0.25, 0.0, 1e-3, 1.0], [0.5, 0.5, 0.5, 0.0, 0.0, 0.0],
                         [2.0, -1.0, 1.0, 0.0, 1.0, 0.0]])
    return {"input_ids": tokens(config, generator, *mask.shape), "attention_mask": mask}


def positions(*shape):
    """Explicit position_ids: unordered, with repeats."""
    def inputs(config, generator):
        made = plain(config, generator, 3, 6)
        return {**made, "position_ids": torch.randint(0, config.max_position_embeddings, shape, generator=generator)}
    return inputs


def embeds(config, generator):
    """inputs_embeds [B,S,E] in place of ids, with a mask and token types."""
    made = padded(config, generator)
    shape = (*made.pop("input_ids").shape, config.embedding_size)
    return {**made, "inputs_embeds": torch.randn(shape, generator=generator)}


def ignored_labels(config, generator):
    """MLM labels that are all -100."""
    made = plain(config, generator)
    return {**made, "labels": torch.full_like(made["input_ids"], -100)}


def answer_positions(start, end):
    """Question-answering labels over S = 7."""
    def inputs(config, generator):
        made = padded(config, generator, batch=len(start))
        return {**made, "start_positions": torch.tensor(start), "end_positions": torch.tensor(end)}
    return inputs


# ---------------------------------------------------------------- files of other dialects

def save_edited(edit):
    """save_pretrained, then `edit` on the {name: tensor} of the file."""
    def save(model, folder):
        model.save_pretrained(folder)
        path = folder / "model.safetensors"
        tensors = safetensors.torch.load_file(path)
        edit(tensors)
        safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    return save


def second_bias(tensors):
    """A decoder bias that differs from predictions.bias."""
    tensors["predictions.decoder.bias"] = tensors["predictions.bias"].flip(0).contiguous()


def second_decoder(tensors):
    """A decoder weight that differs from the word table. (transformers 4.57 ignores it; 5.23 unties and uses it.)"""
    tensors["predictions.decoder.weight"] = tensors["albert.embeddings.word_embeddings.weight"].flip(0).contiguous()


def only_decoder(tensors):
    """The tied tensors under the decoder's names, and not under their own."""
    tensors["predictions.decoder.bias"] = tensors.pop("predictions.bias")
    tensors["predictions.decoder.weight"] = tensors.pop("albert.embeddings.word_embeddings.weight")


def both_equal(tensors):
    """The tied tensors under both names, as in files made from pytorch_model.bin."""
    tensors["predictions.decoder.bias"] = tensors["predictions.bias"].clone()
    tensors["predictions.decoder.weight"] = tensors["albert.embeddings.word_embeddings.weight"].clone()


def old_names(tensors):
    """LayerNorm.gamma and .beta, and the position_ids buffer of files before transformers 4.31."""
    for name in list(tensors):
        if "LayerNorm." in name:
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            tensors[old] = tensors.pop(name)
    length = tensors["albert.embeddings.position_embeddings.weight"].shape[0]
    tensors["albert.embeddings.position_ids"] = torch.arange(length)[None]


# ---------------------------------------------------------------- intermediates

def intermediates(folder, model, inputs):
    """Writes intermediates.safetensors of an AlbertForPreTraining and checks it against the model's own outputs."""
    model = model.double()
    values = recompute(model, inputs)
    outputs = reference.run(model, inputs, torch.float64)
    blocks = sum(name.endswith(".output") and name.startswith("block.") for name in values)
    same = {"loss": "loss", "prediction_logits": "predictions.logits", "sop_logits": "sop_classifier.logits",
            "hidden_states.0": "encoder.embedding_hidden_mapping_in"}
    same.update({f"hidden_states.{i + 1}": f"block.{i}.output" for i in range(blocks)})
    same.update({f"attentions.{i}": f"block.{i}.probs" for i in range(blocks)})
    for output, name in same.items():
        assert reference.max_deviation(outputs[output], values[name]) < 1e-12, (output, name)
    reference.write_tensors(folder / "intermediates.safetensors", values)
    return {}


def recompute(model, inputs):
    """Every intermediate of AlbertForPreTraining, computed plainly, in the order of the data flow."""
    config, albert, values = model.config, model.albert, {}

    def keep(name, tensor):
        values[name] = tensor.detach()
        return tensor

    def norm(name, module, tensor):
        return keep(name, layer_norm(tensor, tensor.shape[-1:], module.weight, module.bias, config.layer_norm_eps))

    def affine(name, module, tensor):
        return keep(name, linear(tensor, module.weight, module.bias))

    tables = albert.embeddings
    length = inputs["input_ids"].shape[1]
    x = keep("embeddings.sum", tables.word_embeddings.weight[inputs["input_ids"]]
             + tables.token_type_embeddings.weight[inputs["token_type_ids"]]
             + tables.position_embeddings.weight[:length])
    x = norm("embeddings.LayerNorm", tables.LayerNorm, x)
    h = affine("encoder.embedding_hidden_mapping_in", albert.encoder.embedding_hidden_mapping_in, x)
    masked = (inputs["attention_mask"] == 0).to(h.dtype)[:, None, None, :]
    bias = masked * torch.finfo(h.dtype).min
    for i, block in enumerate(executed_blocks(config, albert.encoder)):
        h = block_forward(f"block.{i}.", block, h, bias, config, keep, norm, affine)
    pooled = keep("pooler.output", torch.tanh(affine("pooler.preactivation", albert.pooler, h[:, 0])))
    sop = affine("sop_classifier.logits", model.sop_classifier.classifier, pooled)
    head = model.predictions
    z = keep("predictions.activation", head.activation(affine("predictions.dense", head.dense, h)))
    logits = affine("predictions.logits", head.decoder, norm("predictions.LayerNorm", head.LayerNorm, z))
    masked_lm = keep("loss.masked_lm", cross_entropy(logits.flatten(0, 1), inputs["labels"].flatten()))
    order = keep("loss.sentence_order", cross_entropy(sop, inputs["sentence_order_label"]))
    keep("loss", masked_lm + order)
    return values


def executed_blocks(config, encoder):
    """The blocks in execution order: layer i runs all blocks of group i * G // L."""
    layers, groups = config.num_hidden_layers, config.num_hidden_groups
    return [block for i in range(layers) for block in encoder.albert_layer_groups[i * groups // layers].albert_layers]


def block_forward(prefix, block, h, bias, config, keep, norm, affine):
    """One post-LN block."""
    attention, (batch, length, hidden) = block.attention, h.shape
    heads = config.num_attention_heads

    def split(name):
        projected = linear(h, getattr(attention, name).weight, getattr(attention, name).bias)
        return keep(prefix + name, projected.view(batch, length, heads, hidden // heads).transpose(1, 2))

    query, key, value = split("query"), split("key"), split("value")
    scores = keep(prefix + "scores", query @ key.transpose(2, 3) * (hidden // heads) ** -0.5)
    probs = keep(prefix + "probs", torch.softmax(scores + bias, dim=-1))
    context = keep(prefix + "context", (probs @ value).transpose(1, 2).reshape(batch, length, hidden))
    u = norm(prefix + "attention.LayerNorm", attention.LayerNorm,
             h + affine(prefix + "attention.dense", attention.dense, context))
    f = keep(prefix + "activation", block.activation(affine(prefix + "ffn", block.ffn, u)))
    return norm(prefix + "output", block.full_layer_layer_norm, affine(prefix + "ffn_output", block.ffn_output, f) + u)


# ---------------------------------------------------------------- activations

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "quick_gelu", "gelu_10", "relu", "silu", "swish",
               "tanh", "sigmoid", "linear", "mish", "relu2", "relu6", "leaky_relu", "hardswish", "laplace",
               "gelu_python", "gelu_python_tanh", "gelu_accurate", "sqrtsoftplus")


def wide_preactivations(model):
    """Spreads ffn and head biases over ±12, so that clipped and saturated branches are taken."""
    for block in model.albert.encoder.albert_layer_groups[0].albert_layers:
        block.ffn.bias.copy_(torch.linspace(-12, 12, block.ffn.bias.numel()))
    model.predictions.dense.bias.copy_(torch.linspace(-6, 11, model.predictions.dense.bias.numel()))


# ---------------------------------------------------------------- sensitivity

def small_magnitudes(model):
    """Embeddings and the MLM transform so small that their variance is near 1e-5, where a wrong LayerNorm eps shows."""
    for table in (model.albert.embeddings.word_embeddings, model.albert.embeddings.position_embeddings,
                  model.albert.embeddings.token_type_embeddings):
        table.weight.mul_(0.01)
    model.predictions.dense.weight.mul_(0.01)
    model.predictions.dense.bias.mul_(0.01)


def additive_mask(inputs):
    """The mask as transformers 3 and Google built it: -10000 at masked keys, passed through as a 4-D mask."""
    return {**inputs, "attention_mask": (1.0 - inputs["attention_mask"].float())[:, None, None, :] * -10000.0}


SENSITIVITY = {
    "right": Variant(),
    "layer_norm_eps_1e-5": Variant(config={"layer_norm_eps": 1e-5}),
    "gelu_erf": Variant(config={"hidden_act": "gelu"}),
    "mask_-10000": Variant(inputs=additive_mask),
}


def distances(folder, model, inputs):
    """How far each wrong variant is from the right one, over what a test compares."""
    expected = safetensors.torch.load_file(folder / "expected.safetensors")
    keep, class_name = reference.keep_of(inputs), "AlbertForPreTraining"

    def outputs(variant):
        start = variant + "."
        return {name.removeprefix(start): value for name, value in expected.items() if name.startswith(start)}

    right = outputs("right")
    return {"distance": {variant: reference.deviations(outputs(variant), right, class_name, keep)
                         for variant in SENSITIVITY if variant != "right"}}


def heads_only(name):
    """Everything but hidden states and attentions, for cases that are about a head or a file."""
    return not name.startswith(("hidden_states", "attentions"))


def problem_type(folder, model, inputs):
    """The problem_type that transformers resolves at the first loss."""
    with torch.no_grad():
        model(**inputs)
    return {"resolved_problem_type": model.config.problem_type}


# ---------------------------------------------------------------- the cases

def class_cases():
    """The seven classes, with losses."""
    sequence, mlm = "AlbertForSequenceClassification", token_labels(lambda config: config.vocab_size)
    return [
        Case("model", "AlbertModel: hidden states, attentions, pooler", "AlbertModel", padded, base=MEDIUM),
        Case("pretraining", "AlbertForPreTraining: both heads, MLM + SOP loss, a label at a masked position",
             "AlbertForPreTraining", with_labels(labels=mlm, sentence_order_label=class_labels(2)), base=MEDIUM),
        Case("masked_lm", "AlbertForMaskedLM: tied decoder, loss with -100 and with a label at a masked position",
             "AlbertForMaskedLM", with_labels(labels=mlm)),
        Case("sequence_classification", "AlbertForSequenceClassification, C = 4, integer labels",
             sequence, with_labels(labels=class_labels(4)), {"num_labels": 4}, extra=problem_type),
        Case("token_classification", "AlbertForTokenClassification, C = 5, loss with -100 and at a masked position",
             "AlbertForTokenClassification", with_labels(labels=token_labels(lambda config: 5)), {"num_labels": 5}),
        Case("question_answering", "AlbertForQuestionAnswering: the loss runs over all S positions, masked ones too",
             "AlbertForQuestionAnswering", answer_positions([1, 0, 2], [3, 6, 2])),
        Case("multiple_choice", "AlbertForMultipleChoice: [B,K,S] flattened to [B·K,S]", "AlbertForMultipleChoice",
             choices),
        Case("intermediates", "every intermediate of AlbertForPreTraining (intermediates.safetensors)",
             "AlbertForPreTraining", with_labels(labels=mlm, sentence_order_label=class_labels(2)),
             extra=intermediates),
    ]


def loss_cases():
    """Losses off the beaten path."""
    sequence = "AlbertForSequenceClassification"
    cases = [
        Case("regression", "C = 1, problem_type unset: regression, both sides squeezed", sequence,
             with_labels(labels=float_labels()), {"num_labels": 1}, extra=problem_type),
        Case("regression_many", "C = 3, problem_type regression: mean squared error over [B,C]", sequence,
             with_labels(labels=float_labels(3)), {"num_labels": 3, "problem_type": "regression"}, extra=problem_type),
        Case("single_label", "problem_type single_label_classification", sequence, with_labels(labels=class_labels(3)),
             {"num_labels": 3, "problem_type": "single_label_classification"}, extra=problem_type),
        Case("multi_label", "problem_type multi_label_classification", sequence, with_labels(labels=binary_labels(3)),
             {"num_labels": 3, "problem_type": "multi_label_classification"}, extra=problem_type),
        Case("multi_label_inferred", "C = 3, float labels, problem_type unset: multi-label", sequence,
             with_labels(labels=float_labels(3)), {"num_labels": 3}, extra=problem_type),
        Case("masked_lm_all_ignored", "every label -100: the loss is NaN", "AlbertForMaskedLM", ignored_labels),
        Case("pretraining_without_order", "PreTraining with `labels` alone: no loss", "AlbertForPreTraining",
             with_labels(labels=token_labels(lambda config: config.vocab_size))),
        Case("question_answering_clamp", "negative positions count as 0, positions >= S are ignored",
             "AlbertForQuestionAnswering", answer_positions([1, -3, 7, 100], [2, 9, -100, 5])),
        Case("question_answering_column", "[B,1] positions are squeezed",
             "AlbertForQuestionAnswering", answer_positions([[1], [4]], [[2], [0]])),
        Case("question_answering_all_ignored", "every start position >= S: the loss is NaN",
             "AlbertForQuestionAnswering", answer_positions([7, 8], [1, 2])),
    ]
    return [dataclasses.replace(case, outputs=heads_only) for case in cases]


def shape_cases():
    """Groups, inner groups, odd sizes."""
    def group_case(layers, groups, inner):
        return Case(f"groups_l{layers}_g{groups}_n{inner}",
                    f"L = {layers}, G = {groups}, N = {inner}: layer i uses group i·G // L; L·N + 1 hidden states",
                    "AlbertModel", plain,
                    {"num_hidden_layers": layers, "num_hidden_groups": groups, "inner_group_num": inner,
                     "intermediate_size": 24})
    return [group_case(*sizes) for sizes in ((3, 1, 1), (4, 2, 1), (7, 3, 1), (2, 2, 2), (2, 1, 2))] + [
        Case("embedding_equals_hidden", "E = H: embedding_hidden_mapping_in is still there", "AlbertModel", padded,
             {"embedding_size": 24}),
        Case("head_size_26", "D = 26 (as in H 312, A 12)", "AlbertModel", padded,
             {"hidden_size": 52, "num_attention_heads": 2, "intermediate_size": 24}),
        Case("length_1", "S = 1", "AlbertForMaskedLM", lambda c, g: plain(c, g, 2, 1)),
        Case("length_max", "S = P", "AlbertModel", lambda c, g: plain(c, g, 1, c.max_position_embeddings),
             outputs=lambda name: not name.startswith("attentions")),
        Case("layer_norm_eps", "layer_norm_eps 1e-3 holds for every norm, the MLM head's too", "AlbertForMaskedLM",
             padded, {"layer_norm_eps": 1e-3}),
        Case("activations", "every activation without parameters, in block and MLM head; prefix = hidden_act",
             "AlbertForMaskedLM", lambda c, g: plain(c, g, 1, 5), {"num_hidden_layers": 1},
             edit_model=wide_preactivations, variants={name: Variant({"hidden_act": name}) for name in ACTIVATIONS},
             outputs=lambda name: name in ("logits", "hidden_states.1")),
    ]


def input_cases():
    """Masks, positions, embeddings."""
    return [
        Case("masks", "rows: " + ", ".join(MASK_ROWS), "AlbertModel", masks),
        Case("mask_fractional", "a float mask: any value but 0 keeps", "AlbertModel", fractional_mask),
        Case("position_ids", "explicit [B,S] position_ids, unordered, repeated", "AlbertModel", positions(3, 6)),
        Case("position_ids_broadcast", "explicit [1,S] position_ids for a batch of 3", "AlbertModel", positions(1, 6)),
        Case("inputs_embeds", "inputs_embeds [B,S,E] in place of input_ids", "AlbertModel", embeds),
    ]


def file_cases():
    """Dialects of the file."""
    return [
        Case("untied_decoder", "tie_word_embeddings false: own decoder weight and bias; predictions.bias unused",
             "AlbertForMaskedLM", padded, {"tie_word_embeddings": False}, outputs=heads_only),
        Case("two_biases", "predictions.bias and predictions.decoder.bias differ: decoder.bias is used",
             "AlbertForMaskedLM", padded, save=save_edited(second_bias), outputs=heads_only),
        Case("two_decoder_weights", "predictions.decoder.weight differs from the word table although tied: it is used",
             "AlbertForMaskedLM", padded, save=save_edited(second_decoder), outputs=heads_only),
        Case("decoder_only", "tied tensors under predictions.decoder.* alone", "AlbertForMaskedLM", padded,
             save=save_edited(only_decoder), outputs=heads_only),
        Case("decoder_and_sources", "tied tensors under both names, equal", "AlbertForPreTraining", padded,
             save=save_edited(both_equal), outputs=heads_only),
        Case("old_names", "LayerNorm.gamma/.beta and a position_ids buffer", "AlbertForMaskedLM", padded,
             save=save_edited(old_names), outputs=heads_only),
        Case("float16", "a checkpoint in f16; the expected values use it as stored", "AlbertForMaskedLM", padded,
             save=lambda model, folder: model.half().save_pretrained(folder), outputs=heads_only),
        Case("bfloat16", "a checkpoint in bf16; the expected values use it as stored", "AlbertForMaskedLM", padded,
             save=lambda model, folder: model.bfloat16().save_pretrained(folder), outputs=heads_only),
        Case("sharded", "several shards and model.safetensors.index.json", "AlbertForMaskedLM", padded,
             save=lambda model, folder: model.save_pretrained(folder, max_shard_size="9KB"), outputs=heads_only),
        Case("base_file_in_head", "a file of AlbertModel read as ForSequenceClassification: the head is missing",
             "AlbertForSequenceClassification", padded, saved_as="AlbertModel",
             outputs=lambda name: name.startswith(("hidden_states", "attentions"))),
        Case("head_file_in_base", "a file of ForPreTraining read as AlbertModel: heads unexpected, pooler there",
             "AlbertModel", padded, saved_as="AlbertForPreTraining"),
        Case("masked_lm_file_in_base", "a file of ForMaskedLM read as AlbertModel: the pooler is missing",
             "AlbertModel", padded, saved_as="AlbertForMaskedLM", outputs=lambda name: name != "pooler_output"),
        Case("sensitivity", "right and wrong: LayerNorm eps 1e-5, erf GELU, mask -10000 on a fully masked row",
             "AlbertForPreTraining", few_masks, edit_model=small_magnitudes, variants=SENSITIVITY, extra=distances,
             outputs=lambda name: name in ("prediction_logits", "sop_logits", "hidden_states.2")),
    ]


def main():
    reference.require_version("5.23")
    cases = class_cases() + loss_cases() + shape_cases() + input_cases() + file_cases()
    goldens.write_all(cases, pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else goldens.ROOT, __file__)


if __name__ == "__main__":
    main()
