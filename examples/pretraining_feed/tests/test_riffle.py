"""With the engine: what it curates on local logs, through `riffle tail`."""

import itertools
import json
from collections import Counter

from riffle_feed import Feed, ListSource, TailSource
from riffle_feed.sources import FeedError

from .consumer import WEIGHTS
from .engine import EngineCase, documents, needs_the_engine
from .support import ids
from .test_kill import killed_until_it_ends

SKILL = "metadata.topic"


@needs_the_engine
class Engines(EngineCase):
    def tail(self, **options):
        return TailSource(command=self.engine.command, **options)

    def feed(self, follow=False, **options):
        it = Feed(self.tail(follow=follow), ListSource([WEIGHTS]), skill=SKILL, **options)
        self.addCleanup(it.close)
        return it

    def test_the_curated_set_is_what_is_given(self):
        summary = self.engine.curate(documents(0, 400))
        self.assertEqual(summary["curated"], 200)
        given = list(self.feed())
        kept = self.engine.kept()
        self.assertEqual(sorted(ids(given)), sorted(kept))
        self.assertEqual({it.id: it.value for it in given}, kept)
        share = Counter(it.skill for it in given[:100])
        self.assertAlmostEqual(share["a"], 50, delta=3)

    def test_a_feed_follows_the_log_and_hears_of_withdrawals(self):
        self.engine.curate(documents(0, 100))
        it = self.feed(follow=True)
        stream = iter(it)
        given = ids(itertools.islice(stream, 50))
        self.assertEqual(sorted(given), sorted(self.engine.kept()))
        # More come and half of what was kept is taken down: the cuts move.
        taken_down = [{"id": name, "deleted": True} for name in given[:25]]
        self.engine.curate(taken_down + documents(100, 200))
        kept = self.engine.kept()
        given += ids(itertools.islice(stream, len(set(kept) - set(given))))
        self.assertLessEqual(set(kept), set(given))
        self.assertEqual(len(given), len(set(given)))
        gone = set(given) - set(kept)
        self.assertGreaterEqual(len(gone), 25)
        self.assertEqual(set(it.withdrawn()), gone)

    def test_logs_of_several_partitions_are_followed_and_resumed(self):
        self.engine.configure("topics.partitions = 3")
        self.engine.curate(documents(0, 200))
        first = self.feed(follow=True)
        stream = iter(first)
        given = ids(itertools.islice(stream, 100))
        self.assertEqual(sorted(given), sorted(self.engine.kept()))
        self.engine.curate([{"id": given[0], "deleted": True}] + documents(200, 300))
        kept = set(self.engine.kept())
        given += ids(itertools.islice(stream, 10))
        second = self.feed(state=json.loads(json.dumps(first.state_dict())))
        given += ids(second)
        self.assertEqual(len(given), len(set(given)))
        self.assertLessEqual(kept, set(given))
        self.assertEqual(set(second.withdrawn()), set(given) - kept)
        places = [it["riffle"]["position"].split(":") for it in self.engine.kept().values()]
        self.assertEqual({partition for partition, _ in places}, {"0", "1", "2"})

    def test_a_state_holds_across_changes_of_the_curated_set(self):
        self.engine.curate(documents(0, 200))
        first = self.feed()
        given = ids(itertools.islice(first, 30))
        state = json.loads(json.dumps(first.state_dict()))
        self.engine.curate(documents(200, 300) + [{"id": given[0], "deleted": True}])
        second = self.feed(state=state)
        rest = ids(second)
        kept = set(self.engine.kept())
        self.assertFalse(set(given) & set(rest))
        self.assertEqual(kept - set(given), set(rest))
        self.assertEqual(set(second.withdrawn()), set(given) - kept)

    def test_fault_killed_consumers_lose_and_repeat_nothing(self):
        lines = documents(0, 600)
        for line in lines:
            line["metadata"]["perplexity"] = 5
        self.engine.curate(lines)
        self.engine.configure('select = [{ by = "random", rate = 0.7 }]')
        self.engine.curate([])
        command = json.dumps(self.engine.command)
        output, kills = killed_until_it_ends(self, command, self.engine.folder, seconds_max=60)
        self.assertEqual(output, ids(self.feed()))
        self.assertEqual(len(output), 420)
        self.assertGreater(kills, 2)

    def test_what_the_tail_says_is_told_when_it_fails(self):
        with self.assertRaisesRegex(FeedError, "exited 2.*nonsense"):
            list(Feed(self.tail(log="nonsense")))
        with self.assertRaisesRegex(FeedError, "cannot start /nowhere/riffle"):
            TailSource(command=["/nowhere/riffle"])
