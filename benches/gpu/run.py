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
import functools
import json
import pathlib
import tempfile

import torch
import transformers

import accuracy
import ceilings
import documents as cut
import harness
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


class Bench(harness.Harness):
    def __init__(self, options, directory):
        super().__init__(options.device, options.rounds)
        self.options, self.directory = options, directory
        self.shape = json.loads((directory / "config.json").read_text())
        self.separator = models.separator(directory)
        vocabulary = self.shape["vocab_size"]
        self.mixes = {mix: cut.documents(mix, options.tokens, vocabulary) for mix in cut.MIXES}
        self.golden = [text["ids"] for text in json.loads(GOLDEN.read_text())["texts"] if text["ids"]]
        self.golden = [[n % vocabulary for n in ids] for ids in self.golden]

    def start_ours(self, scratch):
        """The running binary. Its memory is taken before its first launch: what the device has less of is the peak."""
        ids = scratch / "documents.json"
        ids.write_text(json.dumps(self.mixes | {ACCURACY: self.golden}))
        self.wait()
        before = self.used_bytes()
        running = ours.Ours(self.options.binary, ["--model", self.directory, "--ids", ids], self.options.device)
        self.notes += running.notes
        for mix in cut.MIXES:
            running.seconds("score", mix)
        self.figure("memory, riffle, with its context", (self.used_bytes() - before) / 1e9, "GB")
        return running

    def start_theirs(self, kind, model):
        """A contestant with the best budget for each mix, warmed up; its peak memory is printed."""
        contestant = kind(model, self.separator, self.device)
        for mix, documents in self.mixes.items():
            prepare, nll = functools.partial(contestant.prepare, mix, documents), functools.partial(contestant.nll, mix)
            best = self.fastest(BUDGETS, prepare, nll)
            self.figure(f"padded tokens a batch, {kind.name}, {mix}", best, "tokens")
            self.peak(f"memory, {kind.name}, {mix}", nll)
        return contestant

    def score(self, mix, contestant):
        if isinstance(contestant, ours.Ours):
            return contestant.seconds("score", mix)
        return self.time(lambda: contestant.nll(mix))

    def rates(self, contestants):
        names = [contestant.name for contestant in contestants]
        for mix, documents in self.mixes.items():
            lengths = [len(ids) for ids in documents]
            operations = models.operations_per_token(self.shape, lengths)
            for name in names:
                share = self.rate(f"{name}, {mix}", sum(lengths)) * operations / self.largest_product()
                self.figure(f"{name}, {mix}, share of the largest product's speed", share, "")
            if ours.Ours.name in names:
                self.ratios(mix, ours.Ours.name, [name for name in names if name != ours.Ours.name])

    def errors(self, contestants):
        exact = accuracy.reference(self.directory, self.separator, self.device, ACCURACY, self.golden)
        lengths = [len(ids) for ids in self.golden]
        for contestant in contestants:
            if isinstance(contestant, ours.Ours):
                nats = contestant.results(ACCURACY)
            else:
                contestant.prepare(ACCURACY, self.golden, BUDGETS[0])
                nats = contestant.nll(ACCURACY)
            for what, off in accuracy.errors(nats, exact, lengths).items():
                self.figure(f"error of documents' means, {contestant.name}, {what}", off, "nats")

    def run(self, scratch):
        contestants = [self.start_ours(scratch)] if self.options.binary else []
        try:
            model = theirs.load(self.directory, self.device)
            kinds = [theirs.Transformers] if self.options.no_compile else [theirs.Transformers, theirs.Compiled]
            contestants += [self.start_theirs(kind, model) for kind in kinds]
            rows = min(32768, self.options.tokens)
            limits = ceilings.ceilings(self.device, models.products(self.shape, rows))
            works = {mix: functools.partial(self.score, mix) for mix in self.mixes}
            self.take_turns(limits, works, contestants)
            self.rates(contestants)
            self.errors(contestants)
        finally:
            if self.options.binary:
                contestants[0].close()


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
        versions = {module.__name__: module.__version__ for module in (torch, transformers)}
        weights = str(options.model) if options.model else "random"
        options.out.write_text(json.dumps(bench.results(versions=versions, weights=weights), indent=1))


if __name__ == "__main__":
    main()
