"""A trainer of the small model, which reads clauses: for a CPU."""

import torch
from torch.nn import functional

from .data import WORDS, encoded, validation
from .model import Model
from .training import Evaluation, optimizer

WARMUP_STEPS = 200
LEARNING_RATE = 2e-3


def tensors(texts, device):
    """Samples as clauses, count x 6 x 3, and answers."""
    clauses, answers = zip(*map(encoded, texts))
    return torch.tensor(clauses, device=device), torch.tensor(answers, device=device)


class SmallTrainer:
    """A model of its own, which trains on batches of documents."""

    def __init__(self, seed, device="cpu", learning_rate=LEARNING_RATE):
        torch.manual_seed(seed)
        # Threads that wait for each other cost more than they give a model this small.
        torch.set_num_threads(1)
        self._device = device
        self._model = Model(len(WORDS)).to(device)
        warm_up = lambda step: min(1, (step + 1) / WARMUP_STEPS)  # noqa: E731
        self._optimizer, self._schedule = optimizer(
            self._model, learning_rate, warm_up, betas=(0.9, 0.98)
        )
        held_out = validation(0)
        self._held_out = {skill: tensors(held_out[skill], device) for skill in held_out}

    def step(self, texts):
        """One step on a batch of texts."""
        clauses, answers = tensors(texts, self._device)
        loss = functional.cross_entropy(self._model(clauses), answers)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()

    @torch.no_grad()
    def evaluate(self, step):
        """The evaluation on the held-out samples, after this step."""

        def answers(skill):
            clauses, expected = self._held_out[skill]
            logits = self._model(clauses)
            nats = functional.cross_entropy(logits, expected, reduction="none")
            return nats, logits.argmax(-1) == expected

        return Evaluation.of(step, answers)
