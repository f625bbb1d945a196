"""Once before any repeats; withdrawals; what a document is given out with."""

import itertools
import unittest

from riffle_feed import Feed, ListSource
from riffle_feed.feed import FeedError

from .support import document, feed, ids, log_with_a_past, mixture, takedown


class Once(unittest.TestCase):
    def test_each_document_is_given_once(self):
        records, live = log_with_a_past(1)
        for options in [{}, {"seed": 7}]:
            given = ids(feed(records, mixture(a=1, b=2, c=3), **options))
            self.assertEqual(sorted(given), sorted(live))

    def test_the_latest_text_is_given(self):
        records, _ = log_with_a_past(2)
        last = {it[1].split(b'"')[3].decode(): it[1] for it in records}
        for it in feed(records):
            self.assertIn(it.text.encode(), last[it.id])

    def test_a_skill_begins_again_when_all_of_it_was_given(self):
        records = [document(f"a{n}", "a") for n in range(7)]
        records += [document(f"b{n}", "b") for n in range(50)]
        for seed in [None, 3]:
            documents = iter(feed(records, mixture(a=0.5, b=0.5), repeat=True, seed=seed))
            a = [it for it in itertools.islice(documents, 100) if it.skill == "a"]
            passes = [ids(a[n : n + 7]) for n in range(0, 42, 7)]
            for n, once in enumerate(passes):
                self.assertEqual(sorted(once), [f"a{n}" for n in range(7)])
                self.assertEqual({it.receipt.turn for it in a[7 * n : 7 * n + 7]}, {n})
            orders = {tuple(once) for once in passes}
            self.assertEqual(len(orders) > 1, seed is not None)

    def test_a_document_that_arrives_late_joins_the_present_pass(self):
        log = ListSource([document("a0"), document("a1")], ended=False)
        documents = iter(Feed(log, repeat=True))
        first = ids(itertools.islice(documents, 64))
        self.assertEqual(first, ["a0", "a1"] * 32)
        log.records.append(document("a2"))
        self.assertEqual(ids(itertools.islice(documents, 6)), ["a2", "a0", "a1", "a2", "a0", "a1"])

    def test_a_seed_shuffles_and_decides_the_order(self):
        records = [document(f"d{n}") for n in range(100)]
        orders = [ids(feed(records, seed=seed)) for seed in (1, 1, 2, None)]
        self.assertEqual(orders[0], orders[1])
        self.assertEqual(len({tuple(order) for order in orders}), 3)
        self.assertEqual(orders[3], [f"d{n}" for n in range(100)])

    def test_a_document_that_changes_its_skill_is_not_given_twice(self):
        log = ListSource([document("x", "a"), document("y", "b")], ended=False)
        documents = iter(Feed(log, ListSource([mixture(a=1)])))
        self.assertEqual(next(documents).id, "x")
        log.records += [document("x", "b"), document("z", "a")]
        log.ended_by = True
        self.assertEqual(ids(documents), ["z"])


class Withdrawals(unittest.TestCase):
    def test_what_was_withdrawn_before_is_not_given(self):
        records = [document("x"), document("y"), takedown("x"), takedown("never seen")]
        it = feed(records)
        self.assertEqual(ids(it), ["y"])
        self.assertEqual((it.counts.withdrawn_in_time, it.withdrawn()), (1, []))

    def test_what_was_given_and_then_withdrawn_is_told(self):
        told = []
        log = ListSource([document("x"), document("y"), document("z")], ended=False)
        it = Feed(log, on_withdrawn=told.append)
        documents = iter(it)
        self.assertEqual(ids(itertools.islice(documents, 2)), ["x", "y"])
        log.records += [takedown("y"), takedown("z"), takedown("x"), document("x"), document("w")]
        log.ended_by = True
        rest = list(documents)
        # z had been read before it was withdrawn, and nothing had been given out in between.
        self.assertEqual(ids(rest), ["z", "w"])
        self.assertEqual((told, it.withdrawn()), (["y", "z", "x"], ["y", "z"]))

    def test_receipts_carry_the_news(self):
        log = ListSource([document(f"d{n}") for n in range(100)], ended=False)
        documents = iter(Feed(log))
        list(itertools.islice(documents, 64))
        log.records += [takedown("d3"), takedown("d90"), document("d3")]
        news = [it.receipt.withdrawn for it in itertools.islice(documents, 2)]
        self.assertEqual(news, [(("d3", True), ("d3", False)), ()])


class Skills(unittest.TestCase):
    def test_the_skill_is_riffles_or_else_that_of_a_field(self):
        records = [
            document("x", "a", metadata={"topic": "b"}),
            document("y", None, metadata={"topic": "b"}),
            document("z", None, metadata={"topic": 7}),
            document("w", None),
        ]
        given = feed(records, skill="metadata.topic")
        self.assertEqual([it.skill for it in given], ["a", "b", "7", ""])
        weighed = feed(records, mixture(**{"a": 1, "b": 1, "7": 1}), skill="metadata.topic")
        self.assertEqual(
            {(it.id, it.skill) for it in weighed}, {("x", "a"), ("y", "b"), ("z", "7")}
        )

    def test_a_feed_ends_with_the_documents_though_mixtures_may_come(self):
        records = [document("x"), document("y", "b")]
        it = Feed(ListSource(records), ListSource([mixture(a=1)], ended=False))
        self.assertEqual(ids(it), ["x"])

    def test_the_first_mixture_is_waited_for(self):
        log = ListSource([], ended=False)
        poll, waits = log.poll, []

        def poll_later(timeout_s=0.0):
            waits.append(timeout_s)
            if len(waits) == 3:
                log.records.append(mixture(a=1))
            return poll(timeout_s)

        log.poll = poll_later
        self.assertEqual(ids(Feed(ListSource([document("x")]), log)), ["x"])
        self.assertGreater(max(waits), 0, "it sleeps instead of asking again and again")

    def test_an_empty_mixture_log_is_an_error_when_it_has_ended(self):
        it = Feed(ListSource([document("x")]), ListSource([]))
        with self.assertRaisesRegex(FeedError, "without a mixture"):
            list(it)
