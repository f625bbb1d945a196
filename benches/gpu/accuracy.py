"""How far bf16 moves documents' mean likelihoods, here and in transformers, from the same weights in float64."""

import math

import torch

import theirs


def reference(directory, separator, device, mix, documents):
    """transformers in float64, a document at a time. Its norms, angles and softmax are float32 inside, which is 1e-4 of
    what bf16 does."""
    model = theirs.Transformers(theirs.load(directory, device, torch.float64), separator, device)
    model.batch_nll = lambda inputs, targets: exact_nll(model.model, inputs, targets)
    model.prepare(mix, documents, 1)
    return model.nll(mix)


def exact_nll(model, inputs, targets):
    logits = model(input_ids=inputs, use_cache=False).logits[0]
    real = targets[0] != theirs.IGNORED
    scores, wanted = torch.log_softmax(logits[real], -1), targets[0][real]
    return -scores.gather(-1, wanted[:, None]).sum()[None]


def errors(nats, exact, lengths):
    """Of the documents' mean likelihoods, in nats: largest, root mean square, and mean (the bias)."""
    off = [(got - right) / n for got, right, n in zip(nats, exact, lengths, strict=True)]
    if not all(map(math.isfinite, off)):
        raise RuntimeError("a likelihood is not a number")
    return {
        "largest": max(map(abs, off)),
        "rms": math.sqrt(sum(x * x for x in off) / len(off)),
        "bias": sum(off) / len(off),
    }
