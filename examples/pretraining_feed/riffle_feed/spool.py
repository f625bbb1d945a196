"""Texts on disk until they are given out, so that a trainer's memory holds none of them.

Files in a temporary directory, unlinked as soon as they are open: a killed process leaves nothing.
A file is closed, and its space is free, when no text in it is wanted any more.
"""

import os
import tempfile

FILE_BYTES = 64 << 20
BUFFER_BYTES = 1 << 20


class Spool:
    """Bytes by place. A place is an integer below 2**64."""

    def __init__(self, directory=None, file_bytes=FILE_BYTES):
        self.bytes = 0
        """Of the files that are open: what the spool takes on disk."""
        self._directory = directory
        self._file_bytes = file_bytes
        self._files, self._wanted = {}, {}
        self._number = -1
        self._begin_file()

    def put(self, text):
        """The place where `text` now stands."""
        if self._size >= self._file_bytes:
            self._end_file()
            self._begin_file()
        place = self._number << 40 | self._size
        self._buffer += text
        self._size += len(text)
        self.bytes += len(text)
        self._wanted[self._number] += 1
        if len(self._buffer) >= BUFFER_BYTES:
            self._flush()
        return place

    def get(self, place, length):
        """The `length` bytes at `place`."""
        number, start = place >> 40, place & (1 << 40) - 1
        if number == self._number and start >= self._flushed:
            start -= self._flushed
            return bytes(self._buffer[start : start + length])
        text = os.pread(self._files[number], length, start)
        if len(text) != length:
            raise OSError(f"the spool lost {length - len(text)} of {length} bytes at {place}")
        return text

    def release(self, place):
        """Says that the text at `place` will not be asked for again."""
        number = place >> 40
        self._wanted[number] -= 1
        if not self._wanted[number] and number != self._number:
            self._close_file(number)

    def close(self):
        """Gives the disk space back."""
        for number in list(self._files):
            self._close_file(number)

    def __del__(self):
        self.close()

    def _end_file(self):
        self._flush()
        if not self._wanted[self._number]:
            self._close_file(self._number)

    def _begin_file(self):
        file, path = tempfile.mkstemp(prefix="riffle-feed-", dir=self._directory)
        os.unlink(path)
        self._number += 1
        self._files[self._number] = file
        self._wanted[self._number] = 0
        self._buffer, self._size, self._flushed = bytearray(), 0, 0

    def _flush(self):
        rest = memoryview(bytes(self._buffer))
        while rest:
            rest = rest[os.write(self._files[self._number], rest) :]
        self._buffer, self._flushed = bytearray(), self._size

    def _close_file(self, number):
        file = self._files.pop(number)
        self._wanted.pop(number)
        self.bytes -= self._size if number == self._number else os.fstat(file).st_size
        os.close(file)
