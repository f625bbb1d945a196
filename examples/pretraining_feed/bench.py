"""Documents a second through the feed from local logs, and the bytes of memory a document takes.

    RIFFLE=target/release/riffle python3 examples/pretraining_feed/bench.py [DOCUMENTS]

Documents have 1.5 KB. The same log is first read by `riffle tail` alone, which no feed can outrun;
with one core for both, the feed should be well below it. Ends with `figure`, name, value and unit
a line, with tabs.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time

from riffle_feed import Feed, ListSource, TailSource, records
from tests.engine import Engine

SKILLS = 20
WORDS = ["sand", "gravel", "sluice", "river", "nugget", "pan", "stone", "bar", "water", "dust"]


def documents(count):
    """Documents of about 1.5 KB, of twenty skills."""
    draw = random.Random(1)
    for n in range(count):
        metadata = {"perplexity": draw.uniform(2, 90), "topic": f"skill {n % SKILLS}"}
        text = " ".join(draw.choices(WORDS, k=240))
        yield {"id": f"https://example.org/page/{n}", "text": text, "metadata": metadata}


def fill(engine, count):
    """Every document is kept, and curated with its skill as a field."""
    engine.configure("select = []")
    with subprocess.Popen([*engine.command, "feed", "-"], stdin=subprocess.PIPE) as feed:
        for document in documents(count):
            feed.stdin.write(json.dumps(document).encode() + b"\n")
    engine.run("run", "--until-end")


def timed(iterator):
    """How many items, and items a second."""
    began, count = time.perf_counter(), 0
    for _ in iterator:
        count += 1
    return count, count / (time.perf_counter() - began)


def tail_alone(engine):
    """Lines a second of `riffle tail` into nothing."""
    with subprocess.Popen(
        [*engine.command, "tail", "curated", "--until-end", "--json"], stdout=subprocess.PIPE
    ) as tail:
        return timed(tail.stdout)[1]


def mebibytes():
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def figure(name, value, unit):
    """One line of the result."""
    print(f"figure\tpretraining_feed.{name}\t{value:.0f}\t{unit}", flush=True)


def feed(engine, **options):
    """A feed with even weights."""
    weights = json.dumps({"skills": {f"skill {n}": 1 / SKILLS for n in range(SKILLS)}}).encode()
    source = TailSource(command=engine.command, follow=False)
    return Feed(source, ListSource([(None, weights)]), skill="metadata.topic", **options)


def main(count):
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(folder)
        fill(engine, count)
        figure("tail_alone", tail_alone(engine), "documents/s")
        before, processor = mebibytes(), time.process_time()
        with feed(engine) as it:
            given, rate = timed(it)
            assert given == count, f"{given} of {count} documents"
            state = it.state_dict()
        figure("documents_per_second", rate, "documents/s")
        processor = time.process_time() - processor
        figure("documents_per_processor_second", count / processor, "documents/s")
        figure("memory_a_document", (mebibytes() - before) * 2**20 / count, "bytes")
        figure("state_a_document", 1000 * len(json.dumps(state)) / count, "bytes/1000")
        began = time.perf_counter()
        with feed(engine, state=state) as it:
            assert timed(it)[0] == 0
        figure("resume", count / (time.perf_counter() - began), "records/s")
    parser = records.loads.__module__
    print(f"{count} documents of 1.5 KB, JSON by {parser}, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    os.environ.setdefault("RIFFLE", "target/release/riffle")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000)
