"""A small transformer for LEGO, in PyTorch: a clause a position.

The model of the paper reads the text as words, and learns first what a clause is, which takes an
accelerator. This one is told, by adding up the three words of a clause, so that a CPU sees in
minutes what the mixture does; attention has to follow the chain all the same.
"""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Attention and a perceptron, each added to what came in."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_perceptron = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attended, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        """Batch x clauses x width in, the same out."""
        batch, clauses, width = x.shape
        parts = self.attended(self.before_attention(x)).chunk(3, dim=-1)
        split = [it.view(batch, clauses, self.heads, -1).transpose(1, 2) for it in parts]
        seen = functional.scaled_dot_product_attention(*split)
        x = x + self.mixed(seen.transpose(1, 2).reshape(batch, clauses, width))
        return x + self.perceptron(self.before_perceptron(x))


class Model(nn.Module):
    """Clauses of three words each in, logits of the two answers out."""

    def __init__(self, words, layers=4, width=64, heads=4):
        super().__init__()
        self.words = nn.Embedding(3 * words, width)
        nn.init.normal_(self.words.weight, std=0.3)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.last, self.answer = nn.LayerNorm(width), nn.Linear(width, 2)
        # A word means something else in each of the clause's three places.
        self.register_buffer("places", torch.arange(3) * words, persistent=False)

    def forward(self, clauses):
        """Batch x clauses x 3 in, batch x 2 out, of the last clause."""
        x = self.words(clauses + self.places).sum(dim=-2)
        return self.answer(self.last(self.blocks(x)[:, -1]))
