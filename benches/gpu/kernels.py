#!/usr/bin/env python3
"""How long each of Riffle's kernels takes in one pass, and how fast the products are, by Nsight Compute.

    python3 benches/gpu/kernels.py --binary target/release/deps/gpu-… [--model DIRECTORY] [--tokens 65536]

Prints `figure<TAB>name<TAB>value<TAB>unit`. Kernels run one at a time here and clocks are left alone, so the sum is a
little above what a pass takes. This has not been run on a device yet.
"""

import argparse
import collections
import csv
import json
import pathlib
import subprocess
import tempfile

import documents as cut
import model as models
import ours

DURATION = "gpu__time_duration.sum"


def operations(shape, lengths):
    """Of all layers together, by the kernel's name without its architecture."""
    rows, width, layers = sum(lengths), shape["hidden_size"], shape["num_hidden_layers"]
    heads, kv_heads = shape["num_attention_heads"], shape["num_key_value_heads"]
    head = shape.get("head_dim") or width // heads
    hidden = shape["intermediate_size"]
    seen = sum(n * (n + 1) // 2 for n in lengths)
    return {
        "qkv": 2 * layers * rows * width * (heads + 2 * kv_heads) * head,
        "attention": 4 * layers * seen * heads * head,
        "residual": 2 * layers * rows * width * (heads * head + hidden),
        "gate_up": 4 * layers * rows * width * hidden,
        "head": 2 * rows * width * shape["vocab_size"],
    }


def profile(command):
    """Nanoseconds by kernel, from Nsight Compute's table, which follows what the program itself prints."""
    ncu = ["ncu", "--csv", "--print-units", "base", "--clock-control", "none", "--cache-control", "none"]
    command = [*ncu, "--metrics", DURATION, *command]
    run = subprocess.run(command, env=ours.environment(), stdout=subprocess.PIPE, text=True)
    if run.returncode:
        raise SystemExit(f"{run.stdout}\nncu ended with {run.returncode}")
    return durations(run.stdout)


def durations(output):
    lines = output.splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith('"ID"'))
    taken = collections.Counter()
    for row in csv.DictReader(lines[header:]):
        if row["Metric Name"] == DURATION:
            taken[row["Kernel Name"].split("(")[0]] += float(row["Metric Value"].replace(",", ""))
    return taken


def family(kernel):
    """The name without the instructions' family or the head width."""
    return kernel.removesuffix("_sm90").rstrip("0123456789").rstrip("_")


def report(taken, shape, lengths):
    work = operations(shape, lengths)
    for kernel, nanoseconds in taken.most_common():
        print(f"figure\t{kernel}\t{nanoseconds / 1e6:.4f}\tms")
        print(f"figure\t{kernel}, share\t{nanoseconds / taken.total():.4f}\t")
        if family(kernel) in work:
            print(f"figure\t{kernel}, speed\t{work[family(kernel)] / nanoseconds / 1e3:.1f}\tTFLOP/s")
    print(f"figure\tall kernels\t{sum(lengths) / taken.total() * 1e9:.0f}\ttokens/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--mix", choices=cut.MIXES, default=cut.MIXES[0])
    parser.add_argument("--tokens", type=int, default=65536)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        directory = options.model or models.write_random(scratch / "model", models.SMOLLM2_135M)
        shape = json.loads((directory / "config.json").read_text())
        documents = cut.documents(options.mix, options.tokens, shape["vocab_size"])
        ids = scratch / "documents.json"
        ids.write_text(json.dumps({options.mix: documents}))
        # No round beyond the first.
        command = [options.binary, "--model", directory, "--ids", ids, "--device", "cuda:0", "--rounds", "0"]
        report(profile(command), shape, [len(ids) for ids in documents])


if __name__ == "__main__":
    main()
