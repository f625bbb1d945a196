"""The riffle binary on local logs in a folder of its own."""

import json
import os
import subprocess
import tempfile
import unittest

VARIABLE = "RIFFLE"
REASON = f"set {VARIABLE} to the riffle binary, such as target/release/riffle"


def needs_the_engine(test):
    """Skips a test where no binary is named. One that is named and missing is an error."""
    return unittest.skipUnless(os.environ.get(VARIABLE), REASON)(test)


class Engine:
    """Local logs; scores come from the documents, and half of these are kept."""

    def __init__(self, folder):
        self.binary = os.path.abspath(os.environ[VARIABLE])
        self.folder = folder
        self._config = os.path.join(folder, "riffle.toml")
        self.command = [self.binary, "-q", "-c", self._config]
        self.configure(f'local.dir = "{folder}/data"')
        self.configure('score.perplexity.field = "metadata.perplexity"')

    def configure(self, line):
        """Adds a line to the configuration."""
        with open(self._config, "a") as file:
            file.write(line + "\n")

    def run(self, *arguments, lines=()):
        """Runs a command, with JSON lines on its standard input; what it printed."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        done = subprocess.run(
            [*self.command, *arguments], input=text, capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            raise AssertionError(f"{arguments} exited {done.returncode}: {done.stderr}")
        return done.stdout

    def curate(self, documents):
        """Feeds documents and curates to the end of the logs."""
        self.run("feed", "-", lines=documents)
        return json.loads(self.run("run", "--until-end", "--json"))

    def kept(self):
        """The ids of the curated set, by the engine's own log."""
        live = {}
        for line in self.run("tail", "curated", "--until-end", "--json").splitlines():
            change = json.loads(line)
            live.pop(change["id"], None)
            if not change.get("deleted"):
                live[change["id"]] = change
        return live


def documents(first, last, skills="abc"):
    """Documents with a perplexity that decides whether they are kept, and a skill in a field."""
    return [
        {
            "id": f"d{n}",
            "text": f"text {n}",
            "metadata": {"perplexity": 2 + n * 7919 % 1000 / 10, "topic": skills[n % len(skills)]},
        }
        for n in range(first, last)
    ]


class EngineCase(unittest.TestCase):
    """A test with an engine of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.engine = Engine(folder.name)
