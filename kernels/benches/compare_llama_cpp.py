"""Compares the CPU scorer with llama.cpp on the same file, the same token ids and 2 threads.

Both compute the logits of every position. They take turns, round by round, so that other work on the
machine falls on both, and the ratio printed is the median of the rounds' ratios. llama.cpp keeps the
weights in four bits and quantises activations as well, so its likelihoods differ by up to 0.01 nats.

Run by compare_llama_cpp.sh, which installs llama-cpp-python and builds the bench; arguments: the model, the
bench's executable.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import llama_cpp
import numpy as np

THREADS = 2
TOKENS = 2048
LENGTHS = [512, 128, 1024]
ROUNDS = 5
SEPARATOR = 0


def documents(length):
    """The reference texts' token ids, cut into documents of one length."""
    golden = pathlib.Path(__file__).parents[1] / "reference" / "golden.json"
    ids = [n for text in json.loads(golden.read_text())["texts"] for n in text["ids"]]
    ids = (ids * (TOKENS // len(ids) + 1))[:TOKENS]
    return [ids[start : start + length] for start in range(0, TOKENS, length)]


def score_llama_cpp(llama, batch):
    """Seconds for the logits of every position, and the mean likelihood in nats."""
    logits, started = [], time.perf_counter()
    for ids in batch:
        llama.reset()
        llama.eval([SEPARATOR, *ids[:-1]])
        logits.append(llama.scores[: len(ids)].copy())
    seconds = time.perf_counter() - started
    nll = 0.0
    for ids, rows in zip(batch, logits):
        rows = rows.astype(np.float64)
        largest = rows.max(axis=-1)
        total = np.log(np.exp(rows - largest[:, None]).sum(axis=-1)) + largest
        nll += (total - rows[np.arange(len(ids)), ids]).sum()
    return seconds, nll / sum(map(len, batch))


def score_ours(bench, batch):
    """Seconds for scoring, and the mean likelihood in nats, by the bench's own clock."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(batch, file)
        file.flush()
        command = [bench, "--ids", file.name, "--threads", str(THREADS), "--rounds", "1"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures = dict(line.split("\t")[1:3] for line in lines.splitlines() if line.startswith("figure"))
    name = "score, given tokens a document"
    return sum(map(len, batch)) / float(figures[name]), float(figures[f"{name}, mean"])


def main(model, bench):
    llama = llama_cpp.Llama(
        model, n_ctx=max(LENGTHS) + 1, n_batch=512, n_threads=THREADS, n_threads_batch=THREADS,
        logits_all=True, verbose=False,
    )
    for length in LENGTHS:
        batch = documents(length)
        score_llama_cpp(llama, batch[:1])
        rounds = [(score_llama_cpp(llama, batch), score_ours(bench, batch)) for _ in range(ROUNDS)]
        theirs, ours, ratio = (
            statistics.median(values)
            for values in zip(*[(TOKENS / t[0], TOKENS / o[0], t[0] / o[0]) for t, o in rounds])
        )
        print(f"figure\tllama.cpp, {length} tokens a document\t{theirs:.1f}\ttokens/s")
        print(f"figure\tours, {length} tokens a document\t{ours:.1f}\ttokens/s")
        print(f"figure\tratio, {length} tokens a document\t{ratio:.2f}\ttimes llama.cpp")
        difference = abs(rounds[0][0][1] - rounds[0][1][1])
        print(f"figure\tdifference of means, {length} tokens a document\t{difference:.4f}\tnats", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
