"""A small transformer for LEGO, in PyTorch: a clause a position, and one block for every hop.

The paper's model was pre-trained, reads words and has 125 million parameters. This one is told what
a clause is, and applies the same block again and again, as a universal transformer does, so that a
CPU sees in minutes what a mixture does. To attend from variable to parent, and to learn at every
length of chain, is left to it; with a block of its own for each hop, it had learned chains of two
clauses where this had begun with four.
"""

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

    def __init__(self, words, hops=5, width=64, heads=4):
        super().__init__()
        self.hops = hops
        self.words, self.clause = nn.Embedding(words, width), nn.Linear(3 * width, width)
        self.block = Block(width, heads)
        self.last, self.answer = nn.LayerNorm(width), nn.Linear(width, 2)

    def forward(self, clauses):
        """Batch x clauses x 3 in, batch x 2 out, of the last clause."""
        x = self.clause(self.words(clauses).flatten(-2))
        for _ in range(self.hops):
            x = self.block(x)
        return self.answer(self.last(x[:, -1]))
