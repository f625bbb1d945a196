"""What has been given out, as a trainer's checkpoint holds it.

A state is: for each record of the curated log, a bit whether it was given out; how many documents
each shard has given; in which pass each skill is. The rest follows from the logs.
"""

import base64
import zlib
from typing import NamedTuple

VERSION = 1
PARTITION_BITS = 12


def position(partition, offset):
    """A record's place in a log as one integer; in order of offsets."""
    return offset << PARTITION_BITS | partition


class Receipt(NamedTuple):
    """Says that a document was given out. It travels with the document through loader processes."""

    shard: int
    position: int
    skill: str
    turn: int
    """The pass over its skill in which it was given, from 0."""
    withdrawn: tuple = ()
    """Changes seen since the last receipt among documents given before: (id, is withdrawn)."""


class Progress:
    """What of the curated log was given out, by any number of shards.

    A process that iterates over a feed itself has one inside the feed. A trainer whose loader
    works ahead in other processes keeps one of its own, and confirms each document's receipt when
    it has trained on it: what was prefetched and lost with the process is then given again.
    """

    def __init__(self, shards=1):
        self.draws = [0] * shards
        self.turns = [{} for _ in range(shards)]
        self.withdrawn = {}
        """Ids of documents that were given out and are not in the curated set any more, in the
        order in which that was seen."""
        self._bits = {0: {}}

    def confirm(self, receipts):
        """Takes in receipts, each shard's in their order."""
        for receipt in receipts:
            self.confirm_one(receipt)

    def confirm_one(self, receipt):
        """Takes in one receipt."""
        shard, at, skill, turn, withdrawn = receipt
        self.draws[shard] += 1
        self.turns[shard][skill] = turn
        self._mark(turn, at)
        if withdrawn:
            self.see(withdrawn)

    def see(self, changes):
        """Takes in which documents were withdrawn, and which came back."""
        for name, is_withdrawn in changes:
            self.withdrawn.pop(name, None)
            if is_withdrawn:
                self.withdrawn[name] = True

    def turn_given(self, at):
        """The latest pass in which the record at this position was given out, or -1."""
        partition, offset = at & (1 << PARTITION_BITS) - 1, at >> PARTITION_BITS
        byte, bit = offset >> 3, 1 << (offset & 7)
        for turn in sorted(self._bits, reverse=True):
            bits = self._bits[turn].get(partition)
            if bits is not None and byte < len(bits) and bits[byte] & bit:
                return turn
        return -1

    def records_given(self):
        """How many records were given out at least once."""
        union = _merged(self._bits.values())
        return sum(int.from_bytes(bits, "little").bit_count() for bits in union.values())

    def shared_among(self, shards):
        """The same progress for this number of shards: trainers grow and shrink."""
        if shards == len(self.draws):
            return self
        other = Progress(shards)
        other._bits = self._bits
        total = sum(self.draws)
        other.draws = [(total - shard + shards - 1) // shards for shard in range(shards)]
        skills = {skill for turns in self.turns for skill in turns}
        least = {skill: min(turns.get(skill, 0) for turns in self.turns) for skill in skills}
        other.turns = [dict(least) for _ in range(shards)]
        return other

    def state_dict(self):
        """The state, of which JSON can be made. About a bit a record of the log, compressed."""
        self._forget_passes()
        return {
            "version": VERSION,
            "draws": list(self.draws),
            "passes": [dict(turns) for turns in self.turns],
            "given": {
                str(turn): {str(partition): _packed(bits) for partition, bits in logs.items()}
                for turn, logs in self._bits.items()
            },
        }

    @classmethod
    def from_state(cls, state):
        """The progress that a `state_dict()` holds.

        Raises `ValueError` when it is of another version.
        """
        if state.get("version") != VERSION:
            raise ValueError(f"a state of version {state.get('version')!r}; expected {VERSION}")
        progress = cls(len(state["draws"]))
        progress.draws = list(state["draws"])
        progress.turns = [dict(turns) for turns in state["passes"]]
        progress._bits = {
            int(turn): {int(partition): _unpacked(text) for partition, text in logs.items()}
            for turn, logs in state["given"].items()
        }
        return progress

    @classmethod
    def merged(cls, states):
        """The progress of several states of the same number of shards: of each rank its own.

        Raises `ValueError` when the numbers differ.
        """
        parts = [cls.from_state(state) for state in states]
        if len({len(part.draws) for part in parts}) != 1:
            raise ValueError("the states are of different numbers of shards")
        whole = cls(len(parts[0].draws))
        for part in parts:
            whole.draws = [max(both) for both in zip(whole.draws, part.draws)]
            for turns, others in zip(whole.turns, part.turns):
                for skill, turn in others.items():
                    turns[skill] = max(turn, turns.get(skill, 0))
        for level in set().union(*(part._bits for part in parts)):
            whole._bits[level] = _merged(part._bits.get(level, {}) for part in parts)
        return whole

    def _mark(self, turn, at):
        partition, offset = at & (1 << PARTITION_BITS) - 1, at >> PARTITION_BITS
        bits = self._bits.setdefault(turn, {}).setdefault(partition, bytearray())
        byte = offset >> 3
        if byte >= len(bits):
            bits.extend(bytes(byte + 1 - len(bits) + len(bits) // 8))
        bits[byte] |= 1 << (offset & 7)

    def _forget_passes(self):
        """Merges passes that no skill is in: what counts is whether a record was given in the
        present pass of a skill or later. Pass 0 stays, for skills that are still to come."""
        kept = sorted({0}.union(*(turns.values() for turns in self.turns)))
        levels = {}
        for turn, logs in self._bits.items():
            level = max(level for level in kept if level <= turn)
            levels.setdefault(level, []).append(logs)
        self._bits = {level: _merged(levels.get(level, [])) for level in kept}


def _merged(levels):
    """The union of bitmaps by partition."""
    union = {}
    for logs in levels:
        for partition, bits in logs.items():
            other = union.get(partition, b"")
            size = max(len(bits), len(other))
            both = int.from_bytes(bits, "little") | int.from_bytes(other, "little")
            union[partition] = bytearray(both.to_bytes(size, "little"))
    return union


def _packed(bits):
    return base64.b64encode(zlib.compress(bytes(bits), 1)).decode()


def _unpacked(text):
    return bytearray(zlib.decompress(base64.b64decode(text)))
