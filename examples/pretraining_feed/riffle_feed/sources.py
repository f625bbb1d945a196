"""Where records come from: what `riffle tail` prints, files of JSON lines, lists.

A source has `poll(timeout_s)`, which returns records as (position, key, value), none when there
are none for now; `at_end`, whether all that the log held when the source began was returned;
`ended`, whether nothing will follow; and `close()`. A position is the same for a record whenever
the log is read. `riffle_feed.kafka` has the one for Kafka.
"""

import os
import re
import select
import subprocess
import tempfile
import time

from .progress import position

_CHUNK_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031
# `riffle tail --json` ends a record with its place, "partition:offset"; a takedown goes on.
_PLACE = re.compile(rb'"position":"(\d+):(\d+)"(?:\}\}?|,"deleted":true\})$')
_PLACE_BYTES_MAX = 64


class FeedError(Exception):
    """A log could not be read or written."""


class ListSource:
    """Records that are there: (key, value) each. For tests, and for mixtures that stand still."""

    def __init__(self, records=(), ended=True):
        self.records = list(records)
        self.ended_by = ended
        self._next = 0

    at_end = property(lambda self: self._next >= len(self.records))
    ended = property(lambda self: self.ended_by and self.at_end)

    def poll(self, timeout_s=0.0):
        """Up to a thousand of the records."""
        del timeout_s
        first, self._next = self._next, min(self._next + 1000, len(self.records))
        return [(position(0, n), *self.records[n]) for n in range(first, self._next)]

    def close(self):
        """Does nothing."""


class _Lines:
    """Bytes into lines."""

    def __init__(self):
        self._rest = b""

    def take(self, chunk):
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        return lines


class FileSource:
    """A file of JSON lines; with `follow`, lines that are appended later too.

    A record's offset is the number of lines before it.
    """

    def __init__(self, path, follow=False):
        self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
        self._end = os.fstat(self._file.fileno()).st_size
        self._read = self._count = 0
        self._follow = follow
        self._lines = _Lines()

    at_end = property(lambda self: self._read >= self._end)
    ended = property(lambda self: self.at_end and not self._follow)

    def poll(self, timeout_s=0.0):
        """The next lines. A line without its end is not one yet."""
        chunk = self._file.read(_CHUNK_BYTES)
        if not chunk and timeout_s and self._follow:
            time.sleep(timeout_s)
            chunk = self._file.read(_CHUNK_BYTES)
        self._read += len(chunk)
        lines = self._lines.take(chunk)
        first, self._count = self._count, self._count + len(lines)
        return [(position(0, first + n), None, line) for n, line in enumerate(lines)]

    def close(self):
        """Closes the file."""
        self._file.close()


class TailSource:
    """The curated or the mixture's log as `riffle tail LOG --json` prints it: local logs of any
    number of partitions, without any library.

    `command` is the program with its global options, such as ["riffle", "-c", "riffle.toml"].
    """

    def __init__(self, log="curated", command=("riffle",), follow=True):
        self._log, self._command, self._follow = log, list(command), follow
        self._lines = _Lines()
        self._next = {}
        self.at_end = self.ended = False
        self._start("--from", "beginning", "--until-end")

    def poll(self, timeout_s=0.0):
        """The next lines of the log."""
        if self.ended:
            return []
        if self.at_end and not self._readable.poll(timeout_s * 1000):
            return []
        chunk = os.read(self._tail.stdout.fileno(), _CHUNK_BYTES)
        if not chunk:
            self._finish()
        return self._placed(self._lines.take(chunk))

    def close(self):
        """Ends the tail."""
        if self._tail.poll() is None:
            self._tail.terminate()
        self._tail.wait()
        self._tail.stdout.close()
        self._said.close()

    def _start(self, *options):
        command = [*self._command, "tail", self._log, "--json", *options]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            self._tail = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._said
            )
        except OSError as error:
            self._said.close()
            raise FeedError(f"cannot start {command[0]}: {error}") from None
        _widen(self._tail.stdout.fileno())
        self._readable = select.poll()
        self._readable.register(self._tail.stdout, select.POLLIN)

    def _finish(self):
        """The tail's output has ended: go on behind the log's end, or say why not."""
        code = self._tail.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()
        self.close()
        if code or self.at_end:
            raise FeedError(f"riffle tail {self._log} exited {code}: {said}")
        self.at_end = True
        if self._follow:
            places = (f"{partition}:{offset}" for partition, offset in self._next.items())
            self._start("--from", ",".join(places) or "beginning")
        else:
            self.ended = True

    def _placed(self, lines):
        """The lines, each with the place that it says."""
        records, find = [], _PLACE.search
        for line in lines:
            found = find(line, len(line) - _PLACE_BYTES_MAX)
            if not found:
                shown = line[:80].decode(errors="replace")
                raise FeedError(f"riffle tail {self._log} says no place of a record: {shown}")
            partition, offset = map(int, found.groups())
            self._next[partition] = offset + 1
            records.append((position(partition, offset), None, line))
        return records


def _widen(pipe):
    """A pipe of Linux holds 64 KiB, 40 documents: reader and writer would take turns."""
    try:
        from fcntl import fcntl

        fcntl(pipe, _SET_PIPE_SIZE, _CHUNK_BYTES)
    except (ImportError, OSError):
        pass
