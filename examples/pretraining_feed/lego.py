"""LEGO through the engine and the feed: what does the mixture do for a model that learns by it?

    RIFFLE=target/release/riffle python3 examples/pretraining_feed/lego.py --seed 0 1 2
    RIFFLE=target/release/riffle python3 examples/pretraining_feed/lego.py --model neo-125m \\
        --weights gpt-neo-125M --seed 0 1 2

The engine curates samples of five skills and publishes a mixture, by which the feed gives them out;
a model trains on them, and its validation losses go back to the engine, round by round. Methods:
`random` mixes the skills 1:1:1:3:5, `stratified` evenly, `fixed` keeps Skill-It's first mixture, and
`skill-it` follows the losses. Same samples, budget and seeds for each.

The small model needs torch, and minutes on a CPU for each method and seed. GPT-Neo-125M, the paper's
model, needs torch with CUDA and transformers; its defaults are the paper's.
"""

import argparse
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import mean, stdev

from lego_task.loop import METHODS, learn, scored
from lego_task.training import Plan

# What a model takes where nothing else is said.
DEFAULTS = {
    "small": {
        "device": "cpu",
        "precision": "fp32",
        "steps": 1_800,
        "batch": 128,
        "samples": 192_000,
        "processes": 2,
    },
    "neo-125m": {
        "device": "cuda",
        "precision": "bf16",
        "steps": 6_000,
        "batch": 32,
        # As many of each skill as any method takes: then none is trained on twice.
        "samples": 480_000,
        "processes": 1,
    },
}


def arguments():
    """What is asked for, with the model's own defaults where nothing is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", choices=DEFAULTS, default="small")
    add("--weights", metavar="DIR", help="pre-trained weights of neo-125m; random without")
    add("--method", choices=METHODS, nargs="+", default=METHODS)
    add("--seed", type=int, nargs="+", default=[0])
    add("--device", help="cpu, cuda or cuda:1; by default cpu for small and cuda for neo-125m")
    add("--precision", choices=["fp32", "bf16"], help="fp32 for small, bf16 for neo-125m")
    add("--steps", type=int, help="1800 for small, 6000 for neo-125m")
    add("--batch", type=int, help="128 for small, 32 for neo-125m")
    add("--samples", type=int, help="in the curated log: 192000 for small, 480000 for neo-125m")
    add("--rounds", type=int, default=6, help="the mixture follows so many times")
    add("--evaluations", type=int, default=3, help="reported a round; the last ones, 1/20 apart")
    add("--context", type=int, default=128, help="most tokens of a sample, for neo-125m")
    add("--learning-rate", type=float, help="the model's own by default")
    add("--eta", type=float, default=0.5, help="Skill-It's step")
    add("--window", type=int, default=3, help="evaluations that Skill-It looks back")
    add("--processes", type=int, help="models trained at a time: 2 small ones, 1 neo-125m")
    options = parser.parse_args()
    for name, value in DEFAULTS[options.model].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.weights and options.model == "small":
        parser.error("--weights is for --model neo-125m")
    if options.steps % options.rounds:
        parser.error(f"{options.steps} steps do not make {options.rounds} equal rounds")
    return options


def plan(options):
    """The training that these options ask for."""
    steps_a_round = options.steps // options.rounds
    return Plan(
        rounds=options.rounds,
        steps_a_round=steps_a_round,
        batch=options.batch,
        evaluations=options.evaluations,
        steps_between=max(1, steps_a_round // 20),
    )


def trainer(options, seed):
    """The model to train."""
    shared = {"device": options.device}
    if options.learning_rate:
        shared["learning_rate"] = options.learning_rate
    if options.model == "small":
        from lego_task.small import SmallTrainer

        return SmallTrainer(seed, **shared)
    from lego_task.neo import NeoTrainer

    bf16 = options.precision == "bf16"
    shared |= {"weights": options.weights, "context": options.context, "bf16": bf16}
    return NeoTrainer(seed, options.steps, **shared)


def run(command, method, seed, options):
    """Trains one model on what this riffle has scored; the evaluations at the rounds' ends."""
    name = f"{method}, seed {seed}"
    settings = {"mixture.eta": options.eta, "mixture.window": options.window}
    model = trainer(options, seed)
    ends = learn(command, method, seed, model, plan(options), name, settings)
    by_skill = [round(100 * part, 1) for part in ends[-1].accuracies.values()]
    print(f"{name}: by skill {by_skill} %", flush=True)
    halfway = ends[len(ends) // 2 - 1]
    figure(f"{method}.seed_{seed}.accuracy", 100 * ends[-1].accuracy, "%")
    figure(f"{method}.seed_{seed}.loss", ends[-1].loss, "nats")
    figure(f"{method}.seed_{seed}.accuracy_halfway", 100 * halfway.accuracy, "%")
    figure(f"{method}.seed_{seed}.loss_halfway", halfway.loss, "nats")
    return ends


def figure(name, value, unit):
    """A line for programs."""
    print(f"figure\tlego.{name}\t{value:.4g}\t{unit}", flush=True)


def table(ends, seeds):
    """Mean and standard deviation over the seeds, round by round, as Markdown.

    `ends` is a list of evaluations by (method, seed).
    """
    methods = list(dict.fromkeys(method for method, _ in ends))
    steps = [end.step for end in next(iter(ends.values()))]
    for what, scale, digits in [("accuracy", 100, 1), ("loss", 1, 3)]:
        print(f"\n| mean {what} after | {' | '.join(f'{step} steps' for step in steps)} |")
        print("|---" * (len(steps) + 1) + "|")
        for method in methods:
            row = [method]
            for n in range(len(steps)):
                values = [scale * getattr(ends[method, seed][n], what) for seed in seeds]
                spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
                row.append(f"{mean(values):.{digits}f}{spread}")
            print(f"| {' | '.join(row)} |", flush=True)


def main():
    """Runs the methods asked for."""
    options = arguments()
    os.environ.setdefault("RIFFLE", "target/release/riffle")
    with tempfile.TemporaryDirectory() as folder:
        command = scored(folder, options.samples).command
        print(f"{options.samples} samples are scored", flush=True)
        with ProcessPoolExecutor(options.processes, get_context("spawn")) as processes:
            runs = {
                (method, seed): processes.submit(run, command, method, seed, options)
                for seed in options.seed
                for method in options.method
            }
            table({key: it.result() for key, it in runs.items()}, options.seed)


if __name__ == "__main__":
    main()
