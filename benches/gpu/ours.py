"""Riffle's bench binary, kept running so that it can take turns with others on one device."""

import importlib.util
import json
import os
import pathlib
import subprocess

NVRTC = "RIFFLE_NVRTC"


def environment():
    """This process's, with the NVRTC that came with PyTorch where none is named."""
    spec = importlib.util.find_spec("nvidia")
    places = spec.submodule_search_locations if spec else []
    found = [library.parent for place in places for library in pathlib.Path(place).glob("*/lib/libnvrtc.so.*")]
    return {NVRTC: str(found[0])} | os.environ if found else dict(os.environ)


class Ours:
    name = "riffle"

    def __init__(self, binary, options, device):
        command = [binary, *map(str, options), "--device", device, "--on-request"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment())
        self.notes = []
        while (line := self.line()) != "ready":
            self.notes.append(line)

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} ended with {self.process.wait()}; its message stands above")
        return line.rstrip("\n")

    def ask(self, verb, mix):
        """The third field of the answer."""
        print(f"{verb} {mix}", file=self.process.stdin, flush=True)
        fields = self.line().split("\t")
        if len(fields) < 3:
            raise RuntimeError(f"{verb} {mix}: {fields[0]}")
        return fields[2]

    def seconds(self, work, mix):
        return float(self.ask(work, mix))

    def tokens(self, mix):
        return int(float(self.ask("tokens", mix)))

    def results(self, mix):
        return json.loads(self.ask("results", mix))

    def close(self):
        self.process.stdin.close()
        self.process.wait()
