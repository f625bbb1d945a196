"""Documents come in the proportions of the mixture."""

import itertools
import unittest
from collections import Counter

from riffle_feed import Feed, ListSource, Mixture
from riffle_feed.mixture import PARTS, Draws
from riffle_feed.records import Malformed

from .support import document, feed, mixture


def many(skills, each):
    return [document(f"{skill}{n}", skill) for n in range(each) for skill in skills]


def counts(draws, count, first=0, step=1):
    return Counter(draws[n] for n in range(first, first + count * step, step))


class Proportions(unittest.TestCase):
    def test_every_prefix_follows_the_weights_to_a_few_documents(self):
        weights = [("a", 500_000_000), ("b", 300_000_000), ("c", 199_999_000), ("d", 1_000)]
        draws = Draws()
        draws.among(weights)
        given, worst = Counter(), 0.0
        for n in range(200_000):
            given[draws[n]] += 1
            for skill, weight in weights:
                worst = max(worst, abs(given[skill] - (n + 1) * weight / PARTS))
        self.assertLess(worst, 4)

    def test_a_thousand_even_skills_are_drawn_evenly(self):
        draws = Draws()
        draws.among([(n, 1) for n in range(1000)])
        given = counts(draws, 100_000)
        self.assertEqual(len(given), 1000)
        self.assertLessEqual(max(given.values()) - min(given.values()), 8)

    def test_shards_follow_the_mixture_each_and_together(self):
        draws = Draws()
        draws.among([("a", 7), ("b", 2), ("c", 1)])
        together = Counter()
        for shard in range(6):
            alone = counts(draws, 10_000, first=shard, step=6)
            together += alone
            self.assertAlmostEqual(alone["c"], 1_000, delta=6)
        self.assertAlmostEqual(together["a"], 42_000, delta=4)

    def test_the_feed_follows_the_mixture(self):
        given = itertools.islice(feed(many("abc", 600), mixture(a=0.5, b=0.3, c=0.2)), 1000)
        given = Counter(it.skill for it in given)
        for skill, expected in {"a": 500, "b": 300, "c": 200}.items():
            self.assertAlmostEqual(given[skill], expected, delta=3)

    def test_a_skill_that_runs_dry_leaves_its_share_to_the_others(self):
        records = many("bc", 500) + [document(f"a{n}", "a") for n in range(10)]
        given = [it.skill for it in feed(records, mixture(a=0.5, b=0.25, c=0.25))]
        self.assertEqual(Counter(given), {"a": 10, "b": 500, "c": 500})
        later = Counter(given[100:200])
        self.assertAlmostEqual(later["b"], 50, delta=3)

    def test_a_skill_without_weight_waits(self):
        records = many("ab", 5)
        self.assertEqual({it.skill for it in feed(records, mixture(a=1, b=0))}, {"a"})
        self.assertEqual({it.skill for it in feed(records, mixture(b=1))}, {"b"})

    def test_a_change_of_the_mixture_takes_effect_within_64_documents(self):
        log = ListSource([mixture(a=1)], ended=False)
        documents = iter(Feed(ListSource(many("ab", 500), ended=False), log))
        self.assertEqual({next(documents).skill for _ in range(100)}, {"a"})
        log.records.append(mixture(a=0.2, b=0.8))
        after = [next(documents).skill for _ in range(164)]
        self.assertIn("b", after[:64])
        self.assertAlmostEqual(Counter(after[64:])["b"], 80, delta=3)

    def test_the_last_of_several_mixtures_holds(self):
        given = feed(many("ab", 9), mixture(a=1), mixture(b=1))
        self.assertEqual({it.skill for it in given}, {"b"})

    def test_without_a_mixture_documents_come_in_the_order_of_the_log(self):
        records = many("ab", 5)
        given = [(it.id, it.skill) for it in feed(records)]
        self.assertEqual(given, [(f"{skill}{n}", skill) for n in range(5) for skill in "ab"])


class Weights(unittest.TestCase):
    def test_weights_are_parts_per_billion(self):
        record = {"epoch": 3, "round": None, "skills": {"a": 0.1635, "b": 0.8365}}
        taken = Mixture.from_record(record)
        self.assertEqual(taken.weights, {"a": 163_500_000, "b": 836_500_000})
        self.assertEqual(taken.label, {"epoch": 3, "round": None})

    def test_what_is_no_mixture_is_refused(self):
        for record in [{}, {"skills": 1}, {"skills": {}}, {"skills": {"a": 0}}]:
            self.assertRaises(Malformed, Mixture.from_record, record)
        for weight in ["1", None, True, -0.5, float("nan"), float("inf")]:
            self.assertRaises(Malformed, Mixture.from_record, {"skills": {"a": weight}})
