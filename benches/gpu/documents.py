"""The documents that everything is measured on, and how padded batches are cut from them."""

import math
import random


def lengths(mix, tokens):
    """Document lengths of a mix, about so many tokens in all."""
    draw = random.Random(f"{mix} {tokens}")
    if mix == "fixed 512":
        return [512] * max(1, tokens // 512)
    if mix == "log-normal 512":
        return log_normal(draw, max(1, tokens // 512))
    if mix == "short 32":
        return [draw.randint(16, 48) for _ in range(max(1, tokens // 32))]
    raise ValueError(f"there is no mix {mix}")


def log_normal(draw, count, mean=512, spread=1.0, longest=4096):
    """Log-normal lengths with mean 512: most are shorter than the mean, and a few many times as long."""
    middle = math.log(mean) - spread**2 / 2
    drawn = [draw.lognormvariate(middle, spread) for _ in range(count)]
    # A few draws weigh much in so heavy a tail: scaling makes the mean what the name says.
    return [min(longest, max(1, round(n * mean * count / sum(drawn)))) for n in drawn]


MIXES = ["fixed 512", "log-normal 512", "short 32"]


def documents(mix, tokens, vocabulary):
    """Random ids: what a model computes does not depend on them, and speed hardly does."""
    draw = random.Random(mix)
    return [draw.choices(range(vocabulary), k=n) for n in lengths(mix, tokens)]


def padded_batches(documents, budget):
    """Numbers of documents, sorted by length and cut where a batch would pass `budget` tokens with its padding."""
    order = sorted(range(len(documents)), key=lambda n: len(documents[n]))
    batches, batch = [], []
    for number in order:
        if batch and (len(batch) + 1) * padded(len(documents[number])) > budget:
            batches.append(batch)
            batch = []
        batch.append(number)
    return batches + [batch] if batch else batches


def padded(length):
    """Tensor cores want multiples of 8."""
    return -(-length // 8) * 8
