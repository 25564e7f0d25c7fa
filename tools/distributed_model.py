#!/usr/bin/env python3
"""Projects the time of a data-parallel training step to many nodes: prints the tables of docs/distributed.md.

A model on paper, no measurement. Per step a node computes its share of the global batch, then the gradients of all nodes are
added by recursive halving and doubling, of which nothing is overlapped:

    compute   3 * forward operations of its sequences / node GFLOP/s
    exchange  2 * (N-1)/N * 4 * P bytes / bandwidth + 2 * log2(N) * latency + (N-1)/N * 4 * P bytes / adding speed

P is the number of parameters. Usage: tools/distributed_model.py [--gflops 110] [--latency-us 20] [--add-gbs 4]
[--sequences 8] [--length 512]. Needs Python 3 alone.
"""

import argparse
import math

# Name, vocabulary, embedding, hidden, feed-forward, layers, groups (ALBERT shares one group; BERT has one for each layer).
SHAPES = [
    ("ALBERT-base", 30000, 128, 768, 3072, 12, 1),
    ("ALBERT-large", 30000, 128, 1024, 4096, 24, 1),
    ("ALBERT-xlarge", 30000, 128, 2048, 8192, 24, 1),
    ("ALBERT-xxlarge", 30000, 128, 4096, 16384, 12, 1),
    ("BERT-large", 30522, 1024, 1024, 4096, 24, 24),
]
NODES = [8, 64, 512]
GIGABITS = [1, 10, 100]


def parameters(shape):
    """Of the encoder, the pooler and the embeddings: what is exchanged in pre-training, within a per cent."""
    name, vocabulary, embedding, hidden, feed, layers, groups = shape
    embeddings = (vocabulary + 512 + 2) * embedding + 2 * embedding
    mapping = 0 if name.startswith("BERT") else embedding * hidden + hidden
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * feed + feed + hidden + 4 * hidden
    return embeddings + mapping + groups * layer + hidden * hidden + hidden


def operations(shape, length):
    """Forward operations of the products of one sequence: a multiply-add is two."""
    _, _, _, hidden, feed, layers, _ = shape
    token = 2 * (4 * hidden * hidden + 2 * hidden * feed)
    return layers * (length * token + 4 * length * length * hidden)


def exchange(count, nodes, gigabits, latency, adding):
    """Seconds of the sum of `count` f32 over `nodes`."""
    share = (nodes - 1) / nodes * 4 * count
    return 2 * share / (gigabits * 1e9 / 8) + 2 * math.log2(nodes) * latency + share / adding


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gflops", type=float, default=110, help="of one node in training")
    parser.add_argument("--latency-us", type=float, default=20, help="of one message")
    parser.add_argument("--add-gbs", type=float, default=4, help="gigabytes of gradients that a node adds in a second")
    parser.add_argument("--sequences", type=int, default=8, help="of one node and step")
    parser.add_argument("--length", type=int, default=512, help="tokens of each")
    flags = parser.parse_args()
    latency, adding = flags.latency_us * 1e-6, flags.add_gbs * 1e9
    print(
        f"{flags.gflops:g} GFLOP/s per node in training, {flags.sequences} sequences of {flags.length} tokens per node and "
        f"step, {flags.latency_us:g} us per message, {flags.add_gbs:g} GB/s of additions; nothing overlapped\n"
    )
    print("| model | parameters | MB sent per step, N = 8 / 64 / 512 | compute | nodes | exchange at 1 / 10 / 100 Gbit/s | share of the step |")
    print("|---|---|---|---|---|---|---|")
    for shape in SHAPES:
        count = parameters(shape)
        compute = 3 * flags.sequences * operations(shape, flags.length) / (flags.gflops * 1e9)
        sent = " / ".join(f"{2 * (n - 1) / n * 4 * count / 1e6:.0f}" for n in NODES)
        for i, nodes in enumerate(NODES):
            times = [exchange(count, nodes, g, latency, adding) for g in GIGABITS]
            cells = [shape[0], f"{count / 1e6:.1f} M", sent, f"{compute:.1f} s"] if i == 0 else [""] * 4
            shown = " / ".join(f"{time:.3f} s" for time in times)
            shares = " / ".join(f"{100 * time / (time + compute):.2g} %" for time in times)
            print("| " + " | ".join([*cells, str(nodes), shown, shares]) + " |")


if __name__ == "__main__":
    main()
