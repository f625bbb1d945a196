#!/usr/bin/env python3
"""Runs Riffle's kernels under compute-sanitizer, on a tiny model and a tiny encoder: memory errors, races and reads of nothing written.

    python3 benches/gpu/sanitize.py --binary target/release/deps/gpu-…

Ends with 1 when a tool reports anything. This has not been run on a device yet.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import tokenizers

import documents as cut
import encoder_model
import model as models
import ours
import texts

TOOLS = ["memcheck", "racecheck", "initcheck", "synccheck"]


def language(scratch, tokens):
    """The bench's arguments for a language model."""
    directory = models.write_random(scratch / "model", models.TINY)
    mixes = {mix: cut.documents(mix, tokens, models.TINY["vocab_size"]) for mix in cut.MIXES}
    path = scratch / "documents.json"
    path.write_text(json.dumps(mixes))
    return ["--model", directory, "--ids", path]


def encoder(scratch, tokens):
    """The same for an encoder and its codes."""
    directory = encoder_model.write_random(scratch / "encoder")
    tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    mixes = {mix: texts.texts(mix, tokens, tokenizer, 256) for mix in texts.MIXES}
    path = scratch / "texts.json"
    path.write_text(json.dumps(mixes))
    return ["--encoder", directory, "--texts", path]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--tokens", type=int, default=4096)
    options = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        for model in (language, encoder):
            command = [options.binary, *model(pathlib.Path(scratch), options.tokens)]
            command += ["--device", "cuda:0", "--rounds", "0"]
            for tool in TOOLS:
                checked = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "1", *command]
                if subprocess.run(checked, env=ours.environment()).returncode:
                    failed.append(f"{tool} ({model.__name__})")
    sys.exit(f"found something: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
