"""The closed loop: the engine curates and publishes a mixture, the feed gives samples by it, a model
trains on them, and its losses move the mixture."""

import json
import os
import signal
import subprocess
import tempfile
import time
from contextlib import closing

from riffle_feed import CommandLosses, Feed, FeedError, TailSource
from tests.engine import Engine

from . import skill_it
from .data import GRAPH, RANDOM_MIX, SKILLS, documents
from .training import train

METHODS = ["random", "stratified", "fixed", "skill-it"]
TOPICS = [
    "curated.topic",
    "curated.statistics_topic",
    "mixture.topic",
    "mixture.losses_topic",
    "mixture.dead_letters_topic",
]
_MIXTURE_SECONDS_MAX = 300


def scored(folder, samples):
    """An engine that has scored so many samples, of each skill as many, and keeps all of them."""
    engine = Engine(folder)
    engine.configure("select = []")
    lines = list(documents(samples, 0))
    for line in lines:
        line["metadata"]["perplexity"] = 1
    engine.run("feed", "-", lines=lines)
    engine.run("score", "--until-end")
    return engine


class Mixture:
    """A method's mixture as the engine publishes it, and the losses log that it follows."""

    def __init__(self, command, method, seed, folder, settings=None):
        self._settings = {"mixture.eta": skill_it.ETA, "mixture.window": skill_it.WINDOW}
        self._settings |= settings or {}
        self.command = [*command, *_options(method, seed, folder, self._settings)]
        self._follows = method == "skill-it"
        self._evaluations = []
        self._losses = CommandLosses([*self.command, "losses", "-"])
        self._curate = subprocess.Popen([*self.command, "curate"])
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def report(self, number, evaluations):
        """Reports a round's evaluations to the engine, and waits for the mixture that follows."""
        del number
        if self._follows:
            for evaluation in evaluations:
                self._losses.report(evaluation.losses, step=evaluation.step)
                self._evaluations.append([evaluation.losses[skill] for skill in SKILLS])
            self._wait(evaluations[-1].step)

    def close(self):
        """Ends the engine."""
        self._curate.send_signal(signal.SIGINT)
        self._curate.wait()

    def _wait(self, step=None):
        tail = [*self.command, "tail", "mixture", "--until-end", "--json"]
        deadline = time.monotonic() + _MIXTURE_SECONDS_MAX
        while time.monotonic() < deadline:
            records = subprocess.run(tail, capture_output=True).stdout.splitlines()
            last = json.loads(records[-1]) if records else {}
            if records and last.get("step") == step:
                return self._check(last["skills"])
            if self._curate.poll() is not None:
                raise FeedError(f"riffle curate exited {self._curate.returncode}")
            time.sleep(0.05)
        raise FeedError(f"no mixture that follows from step {step}")

    def _check(self, skills):
        """The engine's mixture is what the paper's formula gives."""
        if self._follows:
            eta, window = self._settings["mixture.eta"], self._settings["mixture.window"]
            expected = skill_it.mixture(GRAPH, self._evaluations, eta, window)
            assert all(abs(skills[it] - p) < 1e-8 for it, p in zip(SKILLS, expected)), skills


def _options(method, seed, folder, settings):
    """What the engine is told: logs of the run's own, and how its mixture is found."""
    graph = os.path.join(folder, "graph.csv")
    with open(graph, "w") as file:
        rows = [["skill", *SKILLS], *([skill, *row] for skill, row in zip(SKILLS, GRAPH))]
        file.write("".join(",".join(map(str, row)) + "\n" for row in rows))
    weights = ", ".join(f"{skill} = {float(w)}" for skill, w in zip(SKILLS, RANDOM_MIX))
    found = {"random": "fixed", "stratified": "stratified"}.get(method, "skill-it")
    values = [
        "skills.field=metadata.skill",
        f"mixture.graph={graph}",
        f"mixture.method={found}",
        *([f"mixture.weights={{ {weights} }}"] if method == "random" else []),
        *(f"{key}={value}" for key, value in settings.items() if found == "skill-it"),
        *(f"{key}={method}-{seed}-{key}" for key in TOPICS),
    ]
    return [part for value in values for part in ("--set", value)]


def learn(command, method, seed, trainer, plan, name, settings=None):
    """Trains on what this riffle has scored, by a method's mixture; the evaluations with which the
    rounds ended."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Mixture(command, method, seed, folder, settings)) as mixture,
    ):
        logs = [TailSource(log, mixture.command) for log in ("curated", "mixture")]
        with Feed(*logs, repeat=True, seed=seed) as feed:
            return train(trainer, iter(feed), mixture.report, plan, name)
