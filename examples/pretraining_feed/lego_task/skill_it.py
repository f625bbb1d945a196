"""Skill-It's update of the mixture, written down once more from the paper: the engine publishes
the same from its losses log, and this is what its tests and a trainer without it compare with.

arXiv 2307.14430, algorithm 1; its defaults for LEGO.
"""

from math import exp, fsum

ETA = 0.5
WINDOW = 3


def mixture(graph, losses=(), eta=ETA, window=WINDOW):
    """The weights of the training skills, which add to 1.

    `graph` is training x evaluation skills. `losses` are the evaluations so far, each a list of
    losses by evaluation skill; the last `window` count. Before the first, each loss counts as 1.
    """
    recent = losses[-window:] or [[1.0] * len(graph[0])]
    sums = [fsum(column) for column in zip(*recent)]
    heights = [eta * fsum(edge * loss for edge, loss in zip(row, sums)) for row in graph]
    # The highest becomes exp(0): a sum of losses may be large, and exp of it no number.
    weights = [exp(height - max(heights)) for height in heights]
    return [weight / fsum(weights) for weight in weights]
