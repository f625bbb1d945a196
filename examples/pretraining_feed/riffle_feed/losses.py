"""Losses back to the engine: one record a skill and evaluation."""

import json
import math
import subprocess

from .sources import FeedError


def loss_record(skill, loss, *, round=None, step=None, run=""):
    """A record of the losses log. `loss=None` retracts the report.

    Raises `ValueError` for what the engine would not take.
    """
    if (round is None) == (step is None):
        raise ValueError("a loss belongs to a round or to a step")
    if loss is not None and not (math.isfinite(loss) and loss >= 0):
        raise ValueError(f"the loss of {skill!r} is {loss}, which is no loss")
    at = {"round": round} if step is None else {"step": step}
    return {"run": run, **at, "skill": skill, "loss": loss}


class _Losses:
    def report(self, losses, *, round=None, step=None, run=""):
        """Reports the losses of an evaluation, by skill; durable when it returns.

        A report made again replaces the former one, so after a crash just evaluate and report
        again.
        """
        self._write(
            [
                loss_record(skill, loss, round=round, step=step, run=run)
                for skill, loss in losses.items()
            ]
        )


def json_lines(records):
    """The records as bytes, a line each."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


class FileLosses(_Losses):
    """Losses into a file of JSON lines."""

    def __init__(self, path):
        self._path = path

    def _write(self, records):
        with open(self._path, "ab") as file:
            file.write(json_lines(records))


class CommandLosses(_Losses):
    """Losses to a command that reads JSON lines, such as `riffle losses -`."""

    def __init__(self, command=("riffle", "losses", "-")):
        self._command = list(command)

    def _write(self, records):
        done = subprocess.run(self._command, input=json_lines(records), stderr=subprocess.PIPE)
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip()
            raise FeedError(f"{' '.join(self._command)} exited {done.returncode}: {reason}")
