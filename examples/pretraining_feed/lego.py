"""LEGO through the engine and the feed: what does the mixture do for a model that learns by it?

    RIFFLE=target/release/riffle python3 examples/pretraining_feed/lego.py --method skill-it

The engine curates 192,000 samples that hold the skills 1:1:1:3:5, the feed gives them out by a
mixture, a small model trains on them, and its validation losses go back, round by round. Methods:
`random` takes skills as they come, `stratified` each as often, `fixed` keeps Skill-It's first
mixture, and `skill-it` follows the losses. Same budget, and the same seeds for each.

Needs torch; and minutes on a CPU for each method and seed.
"""

import argparse
import json
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from lego_task import skill_it
from lego_task.data import GRAPH, RANDOM_MIX, SKILLS, documents
from lego_task.training import train
from riffle_feed import Feed, FileLosses, FileSource, TailSource
from riffle_feed.losses import json_lines
from tests.engine import Engine

SAMPLES = 192_000


def curated(folder):
    """An engine that has curated the samples: all of them, as they come."""
    engine = Engine(folder)
    engine.configure("select = []")
    samples = list(documents(SAMPLES, 0, RANDOM_MIX))
    for sample in samples:
        sample["metadata"]["perplexity"] = 1
    engine.curate(samples)
    return engine


class Mixtures:
    """The mixture log of a method, in a file, and the losses log that it follows.

    It stands in for the engine, with the same records.
    """

    def __init__(self, method, folder):
        self._method = method
        self.path = os.path.join(folder, "mixture.jsonl")
        self._losses_path = os.path.join(folder, "losses.jsonl")
        self.losses = FileLosses(self._losses_path)
        self._publish(None, self._weights([]))

    def report(self, number, losses):
        """Reports an evaluation, and publishes the mixture that follows from all so far."""
        self.losses.report(losses, round=number)
        with open(self._losses_path) as file:
            reports = {(it["round"], it["skill"]): it["loss"] for it in map(json.loads, file)}
        rounds = sorted({number for number, _ in reports})
        evaluations = [[reports[number, skill] for skill in SKILLS] for number in rounds]
        self._publish(number, self._weights(evaluations))

    def _weights(self, evaluations):
        match self._method:
            case "random":
                return [weight / sum(RANDOM_MIX) for weight in RANDOM_MIX]
            case "stratified":
                return [1 / len(SKILLS)] * len(SKILLS)
            case "fixed":
                return skill_it.mixture(GRAPH)
            case "skill-it":
                return skill_it.mixture(GRAPH, evaluations)

    def _publish(self, number, weights):
        record = {"method": self._method, "round": number, "skills": dict(zip(SKILLS, weights))}
        with open(self.path, "ab") as file:
            file.write(json_lines([record]))


def run(command, method, seed, options):
    """Trains one model on what this riffle has curated, and prints its mean accuracy."""
    name = f"{method}, seed {seed}"
    with tempfile.TemporaryDirectory() as folder:
        mixtures = Mixtures(method, folder)
        curated_log = TailSource(command=command)
        mixture_log = FileSource(mixtures.path, follow=True)
        shape = {"rounds": options.rounds, "steps_a_round": options.steps // options.rounds}
        with Feed(curated_log, mixture_log, skill="metadata.skill", repeat=True, seed=seed) as feed:
            accuracies = train(
                iter(feed), mixtures.report, name=name, seed=seed, batch=options.batch, **shape
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
        command = curated(folder).command
        print(f"{SAMPLES} samples are curated", flush=True)
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
