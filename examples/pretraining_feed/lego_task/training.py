"""Training on what the feed gives, in rounds, with its evaluations reported as losses."""

import time
from itertools import islice
from typing import NamedTuple

import torch

from .data import SKILLS


class Plan(NamedTuple):
    """How long to train, and when to evaluate."""

    rounds: int
    steps_a_round: int
    batch: int
    evaluations: int
    """Evaluations of a round that are reported, when it ends."""
    steps_between: int
    """Steps between these; the last is made at the round's end."""

    def is_evaluated(self, step):
        """Whether the model is evaluated after this step of a round, which count from 1."""
        before_the_end = self.steps_a_round - step
        rest = before_the_end % self.steps_between
        return rest == 0 and before_the_end // self.steps_between < self.evaluations


class Evaluation(NamedTuple):
    """What a model could do after so many steps, by skill."""

    step: int
    losses: dict
    """Nats on the answer alone."""
    accuracies: dict
    """Parts of one."""

    @property
    def loss(self):
        """The mean over the skills."""
        return sum(self.losses.values()) / len(self.losses)

    @property
    def accuracy(self):
        """The mean over the skills."""
        return sum(self.accuracies.values()) / len(self.accuracies)

    @classmethod
    def of(cls, step, answers):
        """The evaluation that follows from `answers(skill)`, which gives losses and whether each
        answer was right, as tensors."""
        losses, accuracies = {}, {}
        for skill in SKILLS:
            nats, right = answers(skill)
            losses[skill] = nats.float().mean().item()
            accuracies[skill] = right.float().mean().item()
        return cls(step, losses, accuracies)


def optimizer(model, learning_rate, schedule, betas=(0.9, 0.999)):
    """AdamW with a learning rate that goes by the step, and its schedule. Norms' gains and biases
    do not decay, as in Skill-It's code."""
    decays = [it for it in model.parameters() if it.ndim > 1]
    stays = [it for it in model.parameters() if it.ndim < 2]
    groups = [{"params": decays, "weight_decay": 0.01}, {"params": stays, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=learning_rate, betas=betas)
    return adam, torch.optim.lr_scheduler.LambdaLR(adam, schedule)


def train(trainer, documents, report, plan, name):
    """Trains in rounds, and after each calls `report(round, evaluations)`; the evaluations with
    which the rounds ended.

    `documents` is an iterator of the feed: what is reported changes what it gives from then on.
    """
    ends, step = [], 0
    for number in range(1, plan.rounds + 1):
        began, given, evaluations = time.process_time(), dict.fromkeys(SKILLS, 0), []
        for step_of_round in range(1, plan.steps_a_round + 1):
            some = list(islice(documents, plan.batch))
            for document in some:
                given[document.skill] += 1
            trainer.step([document.text for document in some])
            step += 1
            if plan.is_evaluated(step_of_round):
                evaluations.append(trainer.evaluate(step))
        ends.append(evaluations[-1])
        seconds = time.process_time() - began
        print(f"{name}, round {number}: {_told(given, ends[-1], seconds)}", flush=True)
        report(number, evaluations)
    return ends


def _told(given, end, seconds):
    """A round, for a person."""
    losses = [round(loss, 3) for loss in end.losses.values()]
    accuracies = [round(100 * part) for part in end.accuracies.values()]
    return (
        f"documents by skill {list(given.values())}, losses {losses},"
        f" accuracies {accuracies} %, {seconds:.0f} s of the processor"
    )
