"""A state resumes exactly, at every step; shards partition the stream."""

import itertools
import json
import unittest

from riffle_feed import Feed, ListSource, Progress

from .support import document, feed, ids, log_with_a_past, mixture, takedown

WEIGHTS = mixture(a=0.6, b=0.3, c=0.1)


def through_json(state):
    return json.loads(json.dumps(state))


class Resume(unittest.TestCase):
    def test_at_every_step_the_rest_is_what_it_would_have_been(self):
        records, _ = log_with_a_past(3, count=120)
        for options in [{}, {"seed": 5}, {"repeat": True}, {"repeat": True, "seed": 5}]:
            whole = ids(itertools.islice(feed(records, WEIGHTS, **options), 200))
            for step in range(len(whole)):
                first = feed(records, WEIGHTS, **options)
                began = ids(itertools.islice(first, step))
                state = through_json(first.state_dict())
                rest = feed(records, WEIGHTS, state=state, **options)
                self.assertEqual(began + ids(itertools.islice(rest, 200 - step)), whole, options)

    def test_a_state_may_be_of_a_resumed_feed(self):
        records, _ = log_with_a_past(4)
        whole, pieced, state = ids(feed(records, WEIGHTS)), [], None
        while True:
            it = feed(records, WEIGHTS, state=state)
            some = ids(itertools.islice(it, 7))
            pieced += some
            state = through_json(it.state_dict())
            if not some:
                break
        self.assertEqual(pieced, whole)

    def test_the_log_may_have_gone_on_since(self):
        for seed in range(20):
            records, _ = log_with_a_past(seed)
            early, state, given = records[:150], None, []
            first = feed(early, WEIGHTS)
            given += [(it.id, it.skill) for it in itertools.islice(first, 20)]
            state = through_json(first.state_dict())
            second = feed(records, WEIGHTS, state=state)
            given += [(it.id, it.skill) for it in second]
            names = [name for name, _ in given]
            self.assertEqual(len(names), len(set(names)), "no repetition")
            _, live = log_with_a_past(seed)
            self.assertLessEqual(set(live), set(names), "no loss")
            self.assertEqual(set(second.withdrawn()), set(names) - set(live))

    def test_withdrawals_while_it_was_down_are_told_on_resume(self):
        records = [document("x"), document("y"), document("z")]
        first = feed(records)
        self.assertEqual(ids(itertools.islice(first, 2)), ["x", "y"])
        told = []
        later = [takedown("z"), takedown("x"), takedown("y"), document("y"), document("w")]
        it = feed(records + later, state=first.state_dict(), on_withdrawn=told.append)
        self.assertEqual(ids(it), ["w"])
        self.assertEqual((told, it.withdrawn()), (["x", "y"], ["x"]))

    def test_load_state_dict_comes_before_the_first_document(self):
        records = [document("x"), document("y")]
        first = feed(records)
        next(iter(first))
        second = feed(records)
        second.load_state_dict(first.state_dict())
        self.assertEqual(ids(second), ["y"])
        self.assertRaises(RuntimeError, second.load_state_dict, first.state_dict())
        self.assertRaises(ValueError, feed, records, state={"version": 0})

    def test_a_state_takes_about_a_bit_a_record_or_less(self):
        records = [document(f"d{n}") for n in range(20_000)]
        for seed in [None, 1]:
            it = feed(records, seed=seed)
            list(itertools.islice(it, 10_000))
            size = len(json.dumps(it.state_dict()))
            self.assertLess(size, 20_000 / 8 * 4 / 3 + 200)

    def test_records_that_were_compacted_away_are_counted(self):
        records = [document("x"), document("y"), document("z")]
        first = feed(records)
        list(itertools.islice(first, 2))
        compacted = ListSource(records)
        poll = compacted.poll
        compacted.poll = lambda timeout_s=0.0: poll(timeout_s)[1:]
        it = Feed(compacted, state=first.state_dict())
        with self.assertLogs("riffle_feed", "WARNING"):
            self.assertEqual(ids(it), ["z"])
        self.assertEqual(it.counts.compacted_away, 1)


class Shards(unittest.TestCase):
    def test_shards_partition_the_stream(self):
        records, live = log_with_a_past(6)
        for shards in [1, 2, 3, 8]:
            parts = [ids(feed(records, WEIGHTS, shard=n, shards=shards)) for n in range(shards)]
            self.assertEqual(sorted(itertools.chain(*parts)), sorted(live))

    def test_each_shard_follows_the_mixture(self):
        records = [document(f"{skill}{n}", skill) for n in range(900) for skill in "abc"]
        for n in range(3):
            given = itertools.islice(feed(records, WEIGHTS, shard=n, shards=3), 300)
            share = [it.skill for it in given].count("a")
            self.assertAlmostEqual(share, 180, delta=6)

    def test_a_shard_that_is_none_is_refused(self):
        self.assertRaises(ValueError, feed, [], shard=2, shards=2)

    def test_confirmed_receipts_resume_every_shard(self):
        records, live = log_with_a_past(7)
        progress, confirmed = Progress(shards=3), []
        for n in range(3):
            documents = list(itertools.islice(feed(records, WEIGHTS, shard=n, shards=3), 25))
            # The loader worked ahead: the last five were never trained on.
            progress.confirm(it.receipt for it in documents[:20])
            confirmed += ids(documents[:20])
        state = through_json(progress.state_dict())
        for shards in [3, 1, 2, 5]:
            rest = [
                name
                for n in range(shards)
                for name in ids(feed(records, WEIGHTS, shard=n, shards=shards, state=state))
            ]
            self.assertEqual(sorted(confirmed + rest), sorted(live), f"{shards} shards")

    def test_states_of_ranks_are_merged(self):
        records, live = log_with_a_past(7)
        states, confirmed = [], []
        for rank in range(2):
            progress = Progress(shards=4)
            for n in (2 * rank, 2 * rank + 1):
                some = list(itertools.islice(feed(records, WEIGHTS, shard=n, shards=4), 12))
                progress.confirm(it.receipt for it in some)
                confirmed += ids(some)
            states.append(progress.state_dict())
        state = through_json(Progress.merged(states).state_dict())
        self.assertEqual(state["draws"], [12] * 4)
        rest = [
            name
            for n in range(3)
            for name in ids(feed(records, WEIGHTS, shard=n, shards=3, state=state))
        ]
        self.assertEqual(sorted(confirmed + rest), sorted(live))
        self.assertRaises(ValueError, Progress.merged, [states[0], Progress(1).state_dict()])

    def test_passes_of_shards_that_differ_are_each_resumed(self):
        records = [document(f"d{n}") for n in range(10)]
        progress, whole = Progress(shards=2), []
        for n, steps in [(0, 17), (1, 3)]:
            documents = list(itertools.islice(feed(records, repeat=True, shard=n, shards=2), 40))
            progress.confirm(it.receipt for it in documents[:steps])
            whole.append(ids(documents)[steps:])
        state = through_json(progress.state_dict())
        for n in range(2):
            rest = feed(records, repeat=True, shard=n, shards=2, state=state)
            self.assertEqual(ids(itertools.islice(rest, len(whole[n]))), whole[n])
