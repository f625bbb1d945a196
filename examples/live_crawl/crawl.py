"""Feeds what a crawler leaves in a folder, file by file, as it comes.

    python3 crawl.py FOLDER [riffle -c riffle.toml]

Takes `.warc`, `.wet` and `.jsonl` files, with `.gz`, once each; `.jsonl.zst` too. A crawler must
rename a file into the folder when it is whole. What was fed is noted in FOLDER/.fed; a file that
was cut short by a crash is fed again, which changes nothing: a page has its address as its id.
"""

import json
import os
import re
import subprocess
import sys
import time

from pages import documents

WARC = re.compile(r"\.(warc|wet)(\.gz)?$")
LINES = re.compile(r"\.jsonl(\.gz|\.zst)?$")
WAIT_S = 1.0


def feed(riffle, path):
    """Feeds one file; whether it went well."""
    if LINES.search(path):
        return subprocess.run([*riffle, "feed", path]).returncode == 0
    with subprocess.Popen([*riffle, "feed", "-"], stdin=subprocess.PIPE) as process:
        try:
            for page in documents(path):
                process.stdin.write(json.dumps(page).encode() + b"\n")
        except (EOFError, OSError, ValueError, KeyError) as error:
            # The pages before the damage are pages all the same.
            print(f"{path} is damaged: {error}", file=sys.stderr)
    return process.returncode == 0


def main(folder, *riffle):
    """Feeds for ever."""
    riffle = riffle or ("riffle",)
    noted = os.path.join(folder, ".fed")
    fed = set()
    if os.path.exists(noted):
        with open(noted) as file:
            fed.update(file.read().splitlines())
    while True:
        names = [it for it in os.listdir(folder) if WARC.search(it) or LINES.search(it)]
        for name in sorted(set(names) - fed):
            if not feed(riffle, os.path.join(folder, name)):
                sys.exit(f"{name} was not fed")
            with open(noted, "a") as file:
                file.write(name + "\n")
            fed.add(name)
        time.sleep(WAIT_S)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is missing")
    except KeyboardInterrupt:
        pass
