#!/usr/bin/env python3
"""Runs Riffle's kernels under compute-sanitizer, on a tiny model: memory errors, races and reads of nothing written.

    python3 benches/gpu/sanitize.py --binary target/release/deps/gpu-…

Ends with 1 when a tool reports anything. This has not been run on a device yet.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import documents as cut
import model as models
import ours

TOOLS = ["memcheck", "racecheck", "initcheck", "synccheck"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--tokens", type=int, default=4096)
    options = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        directory = models.write_random(scratch / "model", models.TINY)
        ids = scratch / "documents.json"
        mixes = {mix: cut.documents(mix, options.tokens, models.TINY["vocab_size"]) for mix in cut.MIXES}
        ids.write_text(json.dumps(mixes))
        command = [options.binary, "--model", directory, "--ids", ids, "--device", "cuda:0", "--rounds", "0"]
        for tool in TOOLS:
            checked = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "1", *command]
            if subprocess.run(checked, env=ours.environment()).returncode:
                failed.append(tool)
    sys.exit(f"found something: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
