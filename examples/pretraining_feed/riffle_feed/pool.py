"""The live documents of a shard, and which of a skill comes next.

Of a document it holds the id and some integers; its text is in the spool. What comes next depends
on what is live and what was given alone, never on when it was read: the lowest position in the
log, or with a seed the lowest hash of seed, pass and id.
"""

import heapq
from array import array
from hashlib import blake2b

_NEVER = -1
_SLOT_BITS = 32
_GROWTH = 1024


class _Skill:
    __slots__ = ("number", "queue", "given", "pending", "live", "turn")

    def __init__(self, number, turn):
        self.number = number
        self.queue = []
        """Heap of order keys and slots as integers; some are out of date."""
        self.given = []
        """Slots given in this pass, to begin the next one with; some are out of date."""
        self.pending = 0
        self.live = 0
        self.turn = turn


class Pool:
    """Documents by id, in queues by skill.

    With `repeat`, a skill whose documents were all given begins another pass over them; without,
    it has run dry until more arrive. `turns` are the passes to go on in.
    """

    def __init__(self, spool, repeat=False, seed=None, turns=None):
        self._spool, self._repeat, self._seed = spool, repeat, seed
        self._turns = turns or {}
        self._skills = {}
        self._by_number = []
        self._slots, self._names, self._free = {}, [], []
        self._position, self._key, self._place = array("Q"), array("Q"), array("Q")
        self._length, self._skill, self._turn = array("I"), array("i"), array("i")
        self._live = bytearray()
        self.moved = True
        """Set when a skill became available or ran dry. For others to clear."""

    def live(self):
        """How many documents are live, and how many of them are still to be given in this pass."""
        skills = self._by_number
        return sum(skill.live for skill in skills), sum(skill.pending for skill in skills)

    def skills(self):
        """The skills seen so far."""
        return list(self._skills)

    def available(self, name):
        """Whether a document of the skill can be given out."""
        skill = self._skills.get(name)
        return skill is not None and (skill.live if self._repeat else skill.pending) > 0

    def admit(self, name, skill, position, text, turn_given=_NEVER):
        """Takes in a document, or another version of one; whether it had been given, was withdrawn
        and is back."""
        slot = self._slots.get(name)
        if slot is None:
            slot = self._new_slot(name)
        is_back = not self._live[slot] and self._turn[slot] > _NEVER
        if self._live[slot]:
            self._leave(slot)
        self._live[slot] = 1
        self._turn[slot] = max(self._turn[slot], turn_given)
        self._position[slot] = position
        self._enter(slot, self._skill_named(skill), text)
        return is_back

    def withdraw(self, name):
        """Drops a document: None if it was not live, else whether it had been given."""
        slot = self._slots.get(name)
        if slot is None or not self._live[slot]:
            return None
        self._leave(slot)
        self._live[slot] = 0
        if self._turn[slot] > _NEVER:
            # Remembered: if it comes back, it is not given a second time in this pass.
            return True
        del self._slots[name]
        self._names[slot] = None
        self._free.append(slot)
        return False

    def next_of(self, name):
        """Gives out a document of an available skill: its id, position, pass and text."""
        skill = self._skills[name]
        if not skill.pending:
            self._begin_pass(skill)
        slot = self._pop(skill)
        self._turn[slot] = skill.turn
        skill.pending -= 1
        text = self._spool.get(self._place[slot], self._length[slot])
        if self._repeat:
            skill.given.append(slot)
        else:
            self._spool.release(self._place[slot])
        self.moved |= not skill.pending
        return self._names[slot], self._position[slot], skill.turn, text

    def _skill_named(self, name):
        skill = self._skills.get(name)
        if skill is None:
            skill = _Skill(len(self._by_number), self._turns.get(name, 0))
            self._skills[name] = skill
            self._by_number.append(skill)
        return skill

    def _new_slot(self, name):
        if not self._free:
            self._grow()
        slot = self._slots[name] = self._free.pop()
        self._names[slot] = name
        return slot

    def _grow(self):
        size = len(self._names)
        self._free.extend(range(size + _GROWTH - 1, size - 1, -1))
        self._names.extend([None] * _GROWTH)
        self._live.extend(bytes(_GROWTH))
        for column in (self._position, self._key, self._place, self._length, self._skill):
            column.frombytes(bytes(_GROWTH * column.itemsize))
        self._turn.extend([_NEVER] * _GROWTH)

    def _enter(self, slot, skill, text):
        self._skill[slot] = skill.number
        skill.live += 1
        is_pending = self._turn[slot] < skill.turn
        self.moved |= not skill.pending
        if is_pending:
            skill.pending += 1
            self._queue(skill, slot)
        elif self._repeat:
            skill.given.append(slot)
        if is_pending or self._repeat:
            self._place[slot], self._length[slot] = self._spool.put(text), len(text)

    def _leave(self, slot):
        skill = self._by_number[self._skill[slot]]
        skill.live -= 1
        is_pending = self._turn[slot] < skill.turn
        if is_pending:
            skill.pending -= 1
        self.moved |= not skill.pending
        if is_pending or self._repeat:
            self._spool.release(self._place[slot])

    def _queue(self, skill, slot):
        key = self._position[slot]
        if self._seed is not None:
            words = f"{self._seed} {skill.turn} {self._names[slot]}".encode(errors="surrogatepass")
            key = int.from_bytes(blake2b(words, digest_size=8).digest(), "big")
        self._key[slot] = key
        heapq.heappush(skill.queue, key << _SLOT_BITS | slot)
        if len(skill.queue) > 2 * skill.pending + 64:
            # Withdrawn documents leave their entries behind: of a skill that is never drawn from
            # these would pile up.
            skill.queue = [entry for entry in set(skill.queue) if self._is_due(skill, entry)]
            heapq.heapify(skill.queue)

    def _pop(self, skill):
        while True:
            entry = heapq.heappop(skill.queue)
            if self._is_due(skill, entry):
                return entry & (1 << _SLOT_BITS) - 1

    def _is_due(self, skill, entry):
        """Whether the entry is that of a document which is still to be given in this pass."""
        slot = entry & (1 << _SLOT_BITS) - 1
        return self._is_in(skill, slot) and (
            self._turn[slot] < skill.turn and self._key[slot] == entry >> _SLOT_BITS
        )

    def _is_in(self, skill, slot):
        return self._live[slot] and self._skill[slot] == skill.number

    def _begin_pass(self, skill):
        given = {slot for slot in skill.given if self._is_in(skill, slot)}
        skill.queue, skill.given = [], []
        # A document that came from a skill further on may have been given in a later pass.
        skill.turn = 1 + min(self._turn[slot] for slot in given)
        for slot in given:
            if self._turn[slot] < skill.turn:
                skill.pending += 1
                self._queue(skill, slot)
            else:
                skill.given.append(slot)
