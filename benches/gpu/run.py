#!/usr/bin/env python3
"""Riffle's scoring on a GPU beside transformers and the device's own limits, in one run, taking turns.

    cargo bench --no-run -p riffle-kernels --bench gpu       # on any machine; prints where the binary lies
    python3 benches/gpu/run.py --binary target/release/deps/gpu-… --out gpu.json

On the GPU machine it needs Python with PyTorch and transformers, the driver and NVRTC; no Rust and no network. Weights
are random, of SmolLM2-135M's shape, unless --model names a Hugging Face directory; convert.py makes one of a GGUF file,
and then the errors at the end are those of the real model. Every round measures each mix of documents by each
contestant in turn, in an order that moves on, so that whatever else happens on the machine falls on all; a rate is the
median of the rounds, a ratio the median of the rounds' ratios. Rates count real tokens, never padding. The budget of
padded tokens that transformers batches to is the fastest of several, tried before the rounds.

Every figure is a line `figure<TAB>name<TAB>value<TAB>unit`; --out gets all of them and each round's seconds as JSON.
--tiny --device cpu is a rehearsal on any machine that has PyTorch.

This has not been run on a device yet.
"""

import argparse
import json
import pathlib
import statistics
import tempfile
import time

import torch
import transformers

import accuracy
import ceilings
import documents as cut
import model as models
import ours
import theirs

BUDGETS = [8192, 16384, 32768, 65536]
GOLDEN = pathlib.Path(__file__).parents[2] / "kernels" / "reference" / "golden.json"
ACCURACY = "accuracy"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", help="the bench `gpu` of riffle-kernels; without it only the others are measured")
    parser.add_argument("--model", type=pathlib.Path, help="a Hugging Face directory; without it, random weights")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--tokens", type=int, default=262144, help="real tokens of a mix")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes a minute")
    parser.add_argument("--tiny", action="store_true", help="a tiny model and few tokens")
    parser.add_argument("--out", type=pathlib.Path, help="where the JSON goes")
    return parser.parse_args()


class Bench:
    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.device = torch.device(options.device)
        self.shape = json.loads((directory / "config.json").read_text())
        self.separator = models.separator(directory)
        vocabulary = self.shape["vocab_size"]
        self.mixes = {mix: cut.documents(mix, options.tokens, vocabulary) for mix in cut.MIXES}
        self.golden = [text["ids"] for text in json.loads(GOLDEN.read_text())["texts"] if text["ids"]]
        self.golden = [[n % vocabulary for n in ids] for ids in self.golden]
        self.figures, self.seconds, self.notes = [], {}, []

    def figure(self, name, value, unit):
        self.figures.append({"name": name, "value": value, "unit": unit})
        print(f"figure\t{name}\t{value:.6g}\t{unit}", flush=True)

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def time(self, work, times=1):
        self.wait()
        started = time.perf_counter()
        for _ in range(times):
            work()
        self.wait()
        return (time.perf_counter() - started) / times

    def used_bytes(self):
        """Memory in use on the device, by whomever."""
        if self.device.type != "cuda":
            return 0
        free, total = torch.cuda.mem_get_info()
        return total - free

    def start_ours(self, scratch):
        """The running binary. Its memory is taken before its first launch: what the device has less of is the peak."""
        ids = scratch / "documents.json"
        ids.write_text(json.dumps(self.mixes | {ACCURACY: self.golden}))
        self.wait()
        before = self.used_bytes()
        running = ours.Ours(self.options.binary, self.directory, ids, self.options.device)
        self.notes += running.notes
        for mix in cut.MIXES:
            running.seconds(mix)
        self.figure("memory, riffle, with its context", (self.used_bytes() - before) / 1e9, "GB")
        return running

    def start_theirs(self, kind, model):
        """A contestant with the best budget for each mix, warmed up; its peak memory is printed."""
        contestant = kind(model, self.separator, self.device)
        for mix, documents in self.mixes.items():
            tried = {}
            for budget in BUDGETS:
                contestant.prepare(mix, documents, budget)
                try:
                    contestant.nll(mix)
                    tried[budget] = self.time(lambda: contestant.nll(mix))
                except torch.OutOfMemoryError:
                    torch.cuda.empty_cache()
            best = min(tried, key=tried.get)
            contestant.prepare(mix, documents, best)
            self.figure(f"padded tokens a batch, {kind.name}, {mix}", best, "tokens")
            self.peak(f"memory, {kind.name}, {mix}", lambda: contestant.nll(mix))
        return contestant

    def peak(self, name, work):
        if self.device.type != "cuda":
            return work()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        work()
        self.figure(name, torch.cuda.max_memory_allocated() / 1e9, "GB")
        torch.cuda.empty_cache()

    def rounds(self, contestants):
        """Seconds of every mix by every contestant, and of every ceiling, round by round."""
        limits = ceilings.ceilings(self.device, self.shape, min(32768, self.options.tokens))
        for work, *_ in limits.values():
            self.time(work, 3)
        for number in range(self.options.rounds):
            for name, (work, *_) in limits.items():
                self.seconds.setdefault(name, []).append(self.time(work, 10))
            order = contestants[number % len(contestants) :] + contestants[: number % len(contestants)]
            for mix in self.mixes:
                for contestant in order:
                    riffle = isinstance(contestant, ours.Ours)
                    taken = contestant.seconds(mix) if riffle else self.time(lambda: contestant.nll(mix))
                    self.seconds.setdefault(f"{contestant.name}, {mix}", []).append(taken)
        for name, (_, amount, scale, unit) in limits.items():
            self.figure(name, amount / statistics.median(self.seconds[name]) / scale, unit)

    def rates(self, contestants):
        largest = max(value["value"] for value in self.figures if value["name"].startswith("product, "))
        for mix, documents in self.mixes.items():
            lengths = [len(ids) for ids in documents]
            operations = models.operations_per_token(self.shape, lengths)
            for contestant in contestants:
                rate = sum(lengths) / statistics.median(self.seconds[f"{contestant.name}, {mix}"])
                self.figure(f"{contestant.name}, {mix}", rate, "tokens/s")
                share = rate * operations / (largest * 1e12)
                self.figure(f"{contestant.name}, {mix}, share of the largest product's speed", share, "")
            self.ratios(mix, contestants)

    def ratios(self, mix, contestants):
        riffle = self.seconds.get(f"{ours.Ours.name}, {mix}")
        for contestant in contestants if riffle else []:
            if contestant.name != ours.Ours.name:
                pairs = zip(self.seconds[f"{contestant.name}, {mix}"], riffle)
                ratio = statistics.median(other / own for other, own in pairs)
                self.figure(f"riffle over {contestant.name}, {mix}", ratio, "times")

    def errors(self, contestants):
        exact = accuracy.reference(self.directory, self.separator, self.device, ACCURACY, self.golden)
        lengths = [len(ids) for ids in self.golden]
        for contestant in contestants:
            if not isinstance(contestant, ours.Ours):
                contestant.prepare(ACCURACY, self.golden, BUDGETS[0])
            errors = accuracy.errors(contestant.nll(ACCURACY), exact, lengths)
            for what, nats in errors.items():
                self.figure(f"error of documents' means, {contestant.name}, {what}", nats, "nats")

    def run(self, scratch):
        contestants = [self.start_ours(scratch)] if self.options.binary else []
        try:
            model = theirs.load(self.directory, self.device)
            kinds = [theirs.Transformers] if self.options.no_compile else [theirs.Transformers, theirs.Compiled]
            contestants += [self.start_theirs(kind, model) for kind in kinds]
            self.rounds(contestants)
            self.rates(contestants)
            self.errors(contestants)
        finally:
            if self.options.binary:
                contestants[0].close()

    def results(self):
        device = torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"
        versions = {module.__name__: module.__version__ for module in (torch, transformers)}
        weights = str(self.options.model) if self.options.model else "random"
        about = {"device": device, "versions": versions, "weights": weights, "rounds": self.options.rounds}
        return about | {"notes": self.notes, "figures": self.figures, "seconds": self.seconds}


def main():
    options = arguments()
    if options.tiny:
        options.tokens = min(options.tokens, 2048)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        shape = models.TINY if options.tiny else models.SMOLLM2_135M
        directory = options.model or models.write_random(scratch / "model", shape)
        bench = Bench(options, directory)
        bench.run(scratch)
    if options.out:
        options.out.write_text(json.dumps(bench.results(), indent=1))


if __name__ == "__main__":
    main()
