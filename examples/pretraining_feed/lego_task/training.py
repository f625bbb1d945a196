"""Training on what the feed gives, with an evaluation a round, reported as losses."""

import time
from itertools import islice

import torch
from torch.nn import functional

from .data import SKILLS, WORDS, encoded, validation
from .model import Model


def tensors(texts):
    """Samples as clauses, count x 6 x 3, and answers."""
    clauses, answers = zip(*map(encoded, texts))
    return torch.tensor(clauses), torch.tensor(answers)


class Trainer:
    """A model of its own, which trains on batches of documents."""

    def __init__(self, seed, learning_rate=2e-3, warmup_steps=200):
        torch.manual_seed(seed)
        # Threads that wait for each other cost more than they give a model this small.
        torch.set_num_threads(1)
        self._model = Model(len(WORDS))
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        warm = torch.optim.lr_scheduler.LambdaLR
        self._schedule = warm(self._optimizer, lambda step: min(1, (step + 1) / warmup_steps))
        self._held_out = {skill: tensors(texts) for skill, texts in validation(0).items()}

    def step(self, texts):
        """One step on a batch of texts."""
        clauses, answers = tensors(texts)
        loss = functional.cross_entropy(self._model(clauses), answers)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()

    @torch.no_grad()
    def evaluate(self):
        """Loss in nats and accuracy by skill, on the held-out samples."""
        losses, accuracies = {}, {}
        for skill, (clauses, answers) in self._held_out.items():
            logits = self._model(clauses)
            losses[skill] = functional.cross_entropy(logits, answers).item()
            accuracies[skill] = (logits.argmax(-1) == answers).float().mean().item()
        return losses, accuracies


def train(documents, report, *, name, seed, rounds, steps_a_round, batch):
    """Trains in rounds; after each, `report(round, losses)`. The accuracies by skill at the end.

    `documents` is an iterator of the feed: what is reported changes what it gives from then on.
    """
    trainer = Trainer(seed)
    for number in range(1, rounds + 1):
        began, given = time.process_time(), dict.fromkeys(SKILLS, 0)
        for _ in range(steps_a_round):
            some = list(islice(documents, batch))
            for document in some:
                given[document.skill] += 1
            trainer.step([document.text for document in some])
        losses, accuracies = trainer.evaluate()
        print(
            f"{name}, round {number}: documents by skill {list(given.values())},"
            f" losses {[round(loss, 3) for loss in losses.values()]},"
            f" accuracies {[round(100 * part) for part in accuracies.values()]} %,"
            f" {time.process_time() - began:.0f} s of the processor",
            flush=True,
        )
        report(number, losses)
    return accuracies
