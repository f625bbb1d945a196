"""The feed: an iterator over curated documents in the proportions of the live mixture."""

import logging
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from .mixture import Draws, Mixture
from .pool import Pool
from .progress import Progress, Receipt
from .records import Malformed, change, id_of, parse, skill_in
from .sources import FeedError
from .spool import Spool

_log = logging.getLogger(__name__)

_DRAWS_A_POLL = 64
_WAIT_S = 0.1


class Document(NamedTuple):
    """A curated document, given out."""

    id: str
    text: str
    skill: str
    value: dict
    """All of it, as it stands in the curated log."""
    receipt: Receipt


@dataclass
class Counts:
    """What a feed has seen of its own shard since it began, or was resumed."""

    admitted: int = 0
    given: int = 0
    withdrawn_in_time: int = 0
    """Withdrawn before they were given out."""
    withdrawn_late: int = 0
    malformed: int = 0
    compacted_away: int = 0
    """Records given out before the resume that the log does not hold any more. If their documents
    come again, they are given again: see the README on compacted topics."""


class Feed:
    """Iterates over curated documents.

    `curated` and `mixture` are sources (`riffle_feed.sources`); without a mixture documents come
    in the order of the log. A document is of the shard `hash(id) mod shards`. `skill` is the path
    of a field that names the skill where `riffle.skill` does not, such as "metadata.topic".

    Each document is given once; with `repeat`, a skill whose documents were all given begins
    another pass over them. `seed` shuffles the documents of a skill, in another order every pass.
    Documents of skills without a weight wait. Where only such are left, and the log has ended, so
    has the feed; else it waits for more.

    Before the first document the log is read to its present end, unless `spool_bytes_max` of text
    wait on disk, in `spool_dir`: so what was withdrawn long ago is never given out.
    `on_withdrawn(id)` is called for each document that was given out and then withdrawn; after a
    resume once more. To iterate again is to go on.
    """

    def __init__(
        self,
        curated,
        mixture=None,
        *,
        skill=None,
        repeat=False,
        seed=None,
        shard=0,
        shards=1,
        state=None,
        on_withdrawn=None,
        spool_dir=None,
        spool_bytes_max=None,
    ):
        if not 0 <= shard < shards:
            raise ValueError(f"shard {shard} of {shards}")
        self.counts = Counts()
        self._curated, self._mixture_log = curated, mixture
        self._skill, self._repeat, self._seed = skill, repeat, seed
        self._shard, self._shards = shard, shards
        self._on_withdrawn = on_withdrawn
        self._spool_bytes_max = spool_bytes_max
        self._spool = Spool(spool_dir)
        self._draws = Draws()
        self._news = []
        self._matched = 0
        self.mixture = None
        self._begin_with(Progress(shards) if state is None else Progress.from_state(state))

    def load_state_dict(self, state):
        """Goes on where this state was taken. To be called before the first document.

        The number of shards may be another one than it was.
        """
        if self.counts.admitted or self.counts.given:
            raise RuntimeError("the feed has begun; a state is loaded before that")
        self._begin_with(Progress.from_state(state))

    def state_dict(self):
        """The state after the document given last, of which JSON can be made.

        It knows this shard alone. Where several make up a training, or a loader works ahead, keep
        a `Progress` of their receipts instead.
        """
        return self._progress.state_dict()

    def withdrawn(self):
        """Ids of documents that were given out and are not in the curated set now."""
        return list(self._progress.withdrawn)

    def close(self):
        """Ends the processes and frees the disk space behind the feed."""
        self._curated.close()
        if self._mixture_log is not None:
            self._mixture_log.close()
        self._spool.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __iter__(self):
        self._catch_up()
        while True:
            if self._given % _DRAWS_A_POLL == 0:
                self._poll(0.0)
            if self._pool.moved:
                self._renew_draws()
            if self._draws:
                if (document := self._draw()) is not None:
                    yield document
            elif self._curated.ended and not self._awaits_mixture():
                return
            else:
                self._poll(_WAIT_S)

    def _begin_with(self, progress):
        self._progress = progress.shared_among(self._shards)
        self._given = self._progress.draws[self._shard]
        self._records_given = self._progress.records_given()
        """Before this feed began; what it gives out itself, the pool knows."""
        turns = self._progress.turns[self._shard]
        self._pool = Pool(self._spool, self._repeat, self._seed, turns)

    def _catch_up(self):
        log = self._mixture_log
        while log is not None and not log.at_end:
            self._take_mixtures(log.poll(_WAIT_S))
        while not self._curated.at_end and not self._is_full():
            self._take_documents(self._curated.poll(_WAIT_S))
        self.counts.compacted_away = self._records_given - self._matched
        if self.counts.compacted_away and self._curated.at_end:
            _log.warning("%d records given out are gone from the log", self.counts.compacted_away)

    def _is_full(self):
        limit = self._spool_bytes_max
        return limit is not None and self._spool.bytes >= limit and bool(self._renewed_draws())

    def _poll(self, wait_s):
        """Takes in what there is of both logs. Waits for documents as long as any can come."""
        if self._mixture_log is not None:
            self._take_mixtures(self._mixture_log.poll(wait_s if self._curated.ended else 0.0))
        if not self._curated.ended and not self._is_full():
            self._take_documents(self._curated.poll(wait_s))

    def _take_mixtures(self, records):
        for position, _, value in records:
            try:
                self.mixture = Mixture.from_record(parse(value or b""))
                self._pool.moved = True
            except Malformed as error:
                self._pass_over(position, error)

    def _take_documents(self, records):
        for position, key, value in records:
            try:
                self._take_document(position, key, value)
            except Malformed as error:
                self._pass_over(position, error)

    def _take_document(self, position, key, value):
        turn_given = -1
        if self._matched < self._records_given:
            turn_given = self._progress.turn_given(position)
            self._matched += turn_given >= 0
        if self._is_anothers(key, value):
            return
        name, skill, is_live = change(key, value, self._skill)
        if not self._is_mine(name):
            return
        if is_live:
            self.counts.admitted += 1
            lane = "" if self._mixture_log is None else skill
            if self._pool.admit(name, lane, position, value, turn_given):
                self._tell(name, False)
        elif (was_given := self._pool.withdraw(name)) is not None:
            if was_given:
                self.counts.withdrawn_late += 1
                self._tell(name, True)
            else:
                self.counts.withdrawn_in_time += 1

    def _is_anothers(self, key, value):
        """Whether the record is of another shard, as far as that shows without parsing it."""
        if self._shards == 1 or key is not None or value is None:
            return False
        name = id_of(value)
        return name is not None and not self._is_mine(name)

    def _is_mine(self, name):
        return (
            self._shards == 1
            or crc32(name.encode(errors="surrogatepass")) % self._shards == self._shard
        )

    def _tell(self, name, is_withdrawn):
        self._progress.see([(name, is_withdrawn)])
        self._news.append((name, is_withdrawn))
        if is_withdrawn and self._on_withdrawn is not None:
            self._on_withdrawn(name)

    def _pass_over(self, position, error):
        self.counts.malformed += 1
        _log.warning("record at %d passed over: %s", position >> 12, error)

    def _awaits_mixture(self):
        """Whether there is no mixture yet, but one is to come."""
        if self._mixture_log is None or self.mixture is not None:
            return False
        if self._mixture_log.ended:
            raise FeedError("the mixture log has ended without a mixture")
        return True

    def _renew_draws(self):
        self._renewed_draws()
        self._pool.moved = False

    def _renewed_draws(self):
        """The draws among what is available now."""
        if self._mixture_log is None:
            weights = [("", 1)]
        else:
            weights = self.mixture.weights.items() if self.mixture else []
        available = self._pool.available
        self._draws.among([it for it in weights if it[1] and available(it[0])])
        return self._draws

    def _draw(self):
        """The next document; None where its text turns out to be none."""
        lane = self._draws[self._given * self._shards + self._shard]
        name, position, turn, text = self._pool.next_of(lane)
        try:
            value = parse(text)
            words = value.get("text")
            if not isinstance(words, str):
                raise Malformed("the document has no text")
        except Malformed as error:
            self._pool.withdraw(name)
            self._pass_over(position, error)
            return None
        news, self._news = tuple(self._news), []
        receipt = Receipt(self._shard, position, lane, turn, news)
        self._progress.confirm_one(receipt)
        self._given += 1
        self.counts.given += 1
        skill = lane if self._mixture_log is not None else skill_in(value, self._skill)
        return Document(name, words, skill, value, receipt)
