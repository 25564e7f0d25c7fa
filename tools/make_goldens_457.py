"""Writes the goldens of what transformers 5 no longer has: head masks, relative positions, pruned heads.

Usage: python make_goldens_457.py [OUT]      OUT defaults to ../fixtures/model; needs transformers 4.57.

The layout is that of make_goldens.py; the attention is eager, the numbers are f64. Facts of 4.57 that the cases pin:
- head_mask [A] or [L,A] multiplies the probabilities after the softmax; recorded attentions carry the product.
  Inner block n of layer i, in group g = i·G // L, uses row g·(L // G) + n of [L,A]: all layers of a group share rows.
- relative_key adds q·R[l - r + P - 1] to the scores, relative_key_query adds k·R[l - r + P - 1] as well, for query
  position l and key position r; R is distance_embedding.weight [2P-1,D] of the block. The terms are added after the
  mask, without the factor 1/sqrt(D); l and r count from 0 whatever position_ids says, and position_embeddings, although
  in the file, is not added.
- prune_heads({b: heads}) takes b = g·N + n. Query, key and value lose D rows per head, dense loses D columns, D stays
  H / A of the configuration, and config.json says pruned_heads {"b": heads}, numbered as before pruning.
"""
import pathlib
import sys

import safetensors.torch
import torch

import goldens
import reference
from goldens import Case, padded, plain

PRUNED = {0: [1], 1: [0, 2]}


def head_mask(*shape):
    """`padded` inputs and a head mask of fractions, with one zero."""
    def inputs(config, generator):
        mask = torch.rand(shape, generator=generator)
        mask.view(-1)[1] = 0.0
        return {**padded(config, generator), "head_mask": mask}
    return inputs


def ignored_positions(config, generator):
    """`padded` inputs and position_ids that the relative types do not read."""
    made = padded(config, generator)
    return {**made, "position_ids": made["input_ids"] % config.max_position_embeddings}


def head_mask_rows(folder, model, inputs):
    """The row of [L,A] that each executed block uses; asserted on the attentions, whose rows sum to the head mask."""
    config = model.config
    layers, groups, inner = config.num_hidden_layers, config.num_hidden_groups, config.inner_group_num
    rows = [i * groups // layers * (layers // groups) + n for i in range(layers) for n in range(inner)]
    expected = safetensors.torch.load_file(folder / "expected.safetensors")
    mask = inputs["head_mask"].double()
    for i, row in enumerate(rows):
        used = expected[f"attentions.{i}"].sum(-1)[0, :, 0]
        assert torch.allclose(used, mask[row] if mask.ndim == 2 else mask, atol=1e-12)
    return {"head_mask_rows": rows} if mask.ndim == 2 else {}


def pruned_shapes(folder, model, inputs):
    """What pruning leaves in config.json and in the file."""
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    return {"pruned_heads": PRUNED, "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()
                                               if ".attention." in name and "LayerNorm" not in name}}


def cases():
    """Every case of this script."""
    return [
        Case("head_mask_heads", "head_mask [A] holds for every block", "AlbertModel", head_mask(3),
             extra=head_mask_rows),
        Case("head_mask_layers", "head_mask [L,A], L = 5, G = 2, N = 2: row g·(L // G) + n", "AlbertModel",
             head_mask(5, 3),
             {"num_hidden_layers": 5, "num_hidden_groups": 2, "inner_group_num": 2, "intermediate_size": 24},
             extra=head_mask_rows),
        Case("relative_key", "position_embedding_type relative_key; position_ids are ignored", "AlbertModel",
             ignored_positions, {"position_embedding_type": "relative_key"}),
        Case("relative_key_query", "position_embedding_type relative_key_query; position_ids are ignored",
             "AlbertModel", ignored_positions, {"position_embedding_type": "relative_key_query"}),
        Case("pruned_heads", "pruned_heads in config.json: blocks with 2 and 1 of 3 heads", "AlbertModel", plain,
             {"num_hidden_layers": 4, "num_hidden_groups": 2}, edit_model=lambda model: model.prune_heads(PRUNED),
             extra=pruned_shapes),
    ]


def main():
    reference.require_version("4.57")
    goldens.write_all(cases(), pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else goldens.ROOT, __file__)


if __name__ == "__main__":
    main()
