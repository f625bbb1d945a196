#!/usr/bin/env python3
"""Riffle's embeddings on a GPU beside sentence-transformers in bf16 and the device's own limits, in one run, taking turns.

    cargo bench --no-run -p riffle-kernels --bench gpu       # on any machine; prints where the binary lies
    python3 benches/gpu/encode.py --binary target/release/deps/gpu-… --out encode.json

On the GPU machine it needs Python with PyTorch, transformers and sentence-transformers, the driver and NVRTC, and the
encoder's directory (`make models` fetches models/all-MiniLM-L6-v2); no Rust and no network. Texts are of 32 tokens, of
256, and of log-normal lengths. Each mix is measured in two ways: `ids`, the GPU alone, from token ids that are ready to
embeddings on the host; and `text`, end to end from texts, with tokenizing in parallel threads on both sides. Every
round measures each mix and way by each contestant in turn, in an order that moves on; a rate is the median of the
rounds, a ratio the median of the rounds' ratios. Rates count real tokens, never padding. The padded tokens of a batch
and the texts of a batch that suit sentence-transformers best are tried before the rounds.

`tokenize` is one thread of Riffle's: tokens a second and core. The errors at the end are 1 - cosine to the same model
in float64, on the reference texts. Every figure is a line `figure<TAB>name<TAB>value<TAB>unit`; --out gets all of them
and each round's seconds as JSON. --tiny --device cpu is a rehearsal on any machine that has PyTorch.

This has not been run on a device yet.
"""

import argparse
import functools
import json
import pathlib
import tempfile

import sentence_transformers
import tokenizers
import torch
import transformers

import ceilings
import encoder_model as models
import harness
import ours
import sentence
import texts as cut

BUDGETS = [16384, 65536, 262144]
BATCH_SIZES = [32, 128, 512, 2048]
MODEL = pathlib.Path(__file__).parents[2] / "models" / "all-MiniLM-L6-v2"
ACCURACY = "accuracy"
# Of riffle's works, those that sentence-transformers does too, as they are called here.
WAYS = {"embed": "ids", "text": "text"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", help="the bench `gpu` of riffle-kernels; without it only the other is measured")
    parser.add_argument("--model", type=pathlib.Path, default=MODEL, help="a sentence-transformers directory")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--tokens", type=int, default=1 << 22, help="real tokens of a mix")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="a tiny random model and few tokens")
    parser.add_argument("--out", type=pathlib.Path, help="where the JSON goes")
    return parser.parse_args()


class Bench(harness.Harness):
    def __init__(self, options, directory):
        super().__init__(options.device, options.rounds)
        self.options, self.directory = options, directory
        self.shape = json.loads((directory / "config.json").read_text())
        limits = json.loads((directory / "sentence_bert_config.json").read_text())
        self.tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(limits["max_seq_length"])
        longest = limits["max_seq_length"]
        self.mixes = {mix: cut.texts(mix, options.tokens, self.tokenizer, longest) for mix in cut.MIXES}
        encoded = {mix: self.tokenizer.encode_batch(texts) for mix, texts in self.mixes.items()}
        self.lengths = {mix: [len(it.ids) for it in each] for mix, each in encoded.items()}

    def start_ours(self, scratch):
        """The running binary. Its memory is taken before its first launch: what the device has less of is the peak."""
        path = scratch / "texts.json"
        path.write_text(json.dumps(self.mixes | {ACCURACY: cut.reference()}))
        self.wait()
        before = self.used_bytes()
        running = ours.Ours(self.options.binary, ["--encoder", self.directory, "--texts", path], self.options.device)
        self.notes += running.notes
        for mix in self.mixes:
            running.seconds("embed", mix)
            counted = running.tokens(mix)
            if counted != sum(self.lengths[mix]):
                raise RuntimeError(f"{mix}: riffle has {counted} tokens, the others {sum(self.lengths[mix])}")
        self.figure("memory, riffle, with its context", (self.used_bytes() - before) / 1e9, "GB")
        return running

    def start_theirs(self):
        """sentence-transformers with the best batches for each mix, warmed up; its peak memory is printed."""
        contestant = sentence.Sentences(self.directory, self.device)
        name = contestant.name
        for mix, texts in self.mixes.items():
            prepare = functools.partial(contestant.prepare_ids, mix, texts)
            embed = functools.partial(contestant.embed, mix)
            best = self.fastest(BUDGETS, prepare, embed)
            self.figure(f"padded tokens a batch, {name}, {mix}", best, "tokens")
            self.peak(f"memory, {name}, ids, {mix}", embed)
            prepare = functools.partial(contestant.prepare_texts, mix)
            text = functools.partial(contestant.text, mix, texts)
            best = self.fastest(BATCH_SIZES, prepare, text)
            self.figure(f"texts a batch, {name}, {mix}", best, "texts")
            self.peak(f"memory, {name}, text, {mix}", text)
        return contestant

    def once(self, work, mix, contestant):
        if isinstance(contestant, ours.Ours):
            return contestant.seconds(work, mix)
        if work == "embed":
            return self.time(lambda: contestant.embed(mix))
        return self.time(lambda: contestant.text(mix, self.mixes[mix]))

    def rates(self, names):
        for mix, lengths in self.lengths.items():
            operations = models.operations_per_token(self.shape, lengths)
            for work, way in WAYS.items():
                for name in names:
                    rate = self.rate(f"{name}, {way}, {mix}", sum(lengths))
                    share = rate * operations / self.largest_product()
                    self.figure(f"{name}, {way}, {mix}, share of the largest product's speed", share, "")
                if ours.Ours.name in names:
                    others = [name for name in names if name != ours.Ours.name]
                    self.ratios(f"{way}, {mix}", ours.Ours.name, others)

    def alone(self, riffle):
        """Riffle's works that the other has no counterpart of."""
        for mix, lengths in self.lengths.items():
            for work in ("codes", "tokenize"):
                name = f"{riffle.name}, {work}, {mix}"
                self.seconds[name] = [riffle.seconds(work, mix) for _ in range(self.rounds)]
                self.rate(name, sum(lengths))

    def errors(self, contestants):
        texts = cut.reference()
        exact = sentence.Sentences(self.directory, self.device, torch.float64)
        exact.prepare_ids(ACCURACY, texts, 1)
        exact = exact.embed(ACCURACY).double()
        for contestant in contestants:
            if isinstance(contestant, ours.Ours):
                rows = torch.tensor(contestant.results(ACCURACY), dtype=torch.float64)
            else:
                contestant.prepare_ids(ACCURACY, texts, BUDGETS[0])
                rows = contestant.embed(ACCURACY).double()
            distances = 1 - torch.nn.functional.cosine_similarity(rows, exact, dim=1)
            self.figure(f"1 - cosine to float64, {contestant.name}, largest", distances.max().item(), "")
            self.figure(f"1 - cosine to float64, {contestant.name}, mean", distances.mean().item(), "")

    def run(self, scratch):
        contestants = [self.start_ours(scratch)] if self.options.binary else []
        try:
            contestants.append(self.start_theirs())
            rows = min(65536, self.options.tokens)
            limits = ceilings.ceilings(self.device, models.products(self.shape, rows))
            pairs = [(work, mix) for work in WAYS for mix in self.mixes]
            works = {f"{WAYS[work]}, {mix}": functools.partial(self.once, work, mix) for work, mix in pairs}
            self.take_turns(limits, works, contestants)
            self.rates([contestant.name for contestant in contestants])
            if self.options.binary:
                self.alone(contestants[0])
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
        directory = models.write_random(scratch / "model") if options.tiny else options.model
        bench = Bench(options, directory)
        bench.run(scratch)
    if options.out:
        versions = {module.__name__: module.__version__ for module in (torch, transformers, sentence_transformers)}
        weights = "random" if options.tiny else str(options.model)
        options.out.write_text(json.dumps(bench.results(versions=versions, weights=weights), indent=1))


if __name__ == "__main__":
    main()
