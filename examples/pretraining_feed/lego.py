"""LEGO through the engine and the feed: what does the mixture do for a model that learns by it?

    RIFFLE=target/release/riffle python3 examples/pretraining_feed/lego.py --method skill-it

The engine curates 192,000 samples that hold the skills 1:1:1:3:5 and publishes a mixture, by which
the feed gives them out; a small model trains on them, and its validation losses go back to the
engine, round by round. Methods: `random` takes skills as they come, `stratified` each as often,
`fixed` keeps Skill-It's first mixture, and `skill-it` follows the losses. Same budget, and the same
seeds for each.

Needs torch; and minutes on a CPU for each method and seed.
"""

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context

from lego_task import skill_it
from lego_task.data import GRAPH, RANDOM_MIX, SKILLS, documents
from lego_task.training import train
from riffle_feed import CommandLosses, Feed, FeedError, TailSource
from tests.engine import Engine

SAMPLES = 192_000
TOPICS = [
    "curated.topic",
    "curated.statistics_topic",
    "mixture.topic",
    "mixture.losses_topic",
]


def scored(folder):
    """An engine that has scored the samples, and keeps all of them."""
    engine = Engine(folder)
    engine.configure("select = []")
    samples = list(documents(SAMPLES, 0, RANDOM_MIX))
    for sample in samples:
        sample["metadata"]["perplexity"] = 1
    engine.run("feed", "-", lines=samples)
    engine.run("score", "--until-end")
    return engine


class Mixture:
    """A method's mixture as the engine publishes it, and the losses log that it follows."""

    def __init__(self, command, method, seed, folder):
        self.command = [*command, *settings(method, seed, folder)]
        self._follows = method == "skill-it"
        self._evaluations = []
        self._losses = CommandLosses([*self.command, "losses", "-"])
        self._curate = subprocess.Popen([*self.command, "curate"])
        self._wait()

    def report(self, number, losses):
        """Reports an evaluation to the engine, and waits for the mixture that follows."""
        if self._follows:
            self._losses.report(losses, round=number)
            self._evaluations.append([losses[skill] for skill in SKILLS])
            self._wait(number)

    def close(self):
        """Ends the engine."""
        self._curate.send_signal(signal.SIGINT)
        self._curate.wait()

    def _wait(self, number=None):
        tail = [*self.command, "tail", "mixture", "--until-end", "--json"]
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            records = subprocess.run(tail, capture_output=True).stdout.splitlines()
            last = json.loads(records[-1]) if records else {}
            if records and last.get("round") == number:
                return self._check(last["skills"])
            time.sleep(0.05)
        raise FeedError(f"no mixture that follows from round {number}")

    def _check(self, skills):
        """The engine's mixture is what the paper's formula gives."""
        if self._follows:
            expected = skill_it.mixture(GRAPH, self._evaluations)
            assert all(abs(skills[it] - p) < 1e-8 for it, p in zip(SKILLS, expected)), skills


def settings(method, seed, folder):
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
        *(f"{key}={method}-{seed}-{key}" for key in TOPICS),
    ]
    return [part for value in values for part in ("--set", value)]


def run(command, method, seed, options):
    """Trains one model on what this riffle has scored, and prints its mean accuracy."""
    name = f"{method}, seed {seed}"
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Mixture(command, method, seed, folder)) as mixture,
    ):
        logs = [TailSource(log, mixture.command) for log in ("curated", "mixture")]
        shape = {"rounds": options.rounds, "steps_a_round": options.steps // options.rounds}
        with Feed(*logs, repeat=True, seed=seed) as feed:
            accuracies = train(
                iter(feed), mixture.report, name=name, seed=seed, batch=options.batch, **shape
            )
    by_skill = [round(100 * part, 1) for part in accuracies.values()]
    mean = sum(by_skill) / len(by_skill)
    print(f"{name}: by skill {by_skill} %", flush=True)
    print(f"figure\tlego.{method}.seed_{seed}\t{mean:.1f}\t%", flush=True)


def main():
    """Runs the methods asked for."""
    methods = ["random", "stratified", "fixed", "skill-it"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=methods, nargs="+", default=methods)
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=3_600)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--processes", type=int, default=2, help="models trained at a time")
    options = parser.parse_args()
    os.environ.setdefault("RIFFLE", "target/release/riffle")
    with tempfile.TemporaryDirectory() as folder:
        command = scored(folder).command
        print(f"{SAMPLES} samples are scored", flush=True)
        with ProcessPoolExecutor(options.processes, get_context("spawn")) as processes:
            runs = [
                processes.submit(run, command, method, seed, options)
                for seed in options.seed
                for method in options.method
            ]
            for it in runs:
                it.result()


if __name__ == "__main__":
    main()
