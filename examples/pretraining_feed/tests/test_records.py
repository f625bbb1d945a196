"""Lines are read by scanning where they have the usual form, and by parsing where not."""

import json
import logging
import unittest

from riffle_feed import Feed, ListSource
from riffle_feed.records import Malformed, change, id_of, skill_of

from .support import document, feed, ids, mixture

ENDINGS = ['"riffle":{"perplexity":1,"skill":"s","epoch":1}', '"riffle":{"epoch":1}', '"n":1']
TEXTS = [
    "plain",
    'say \\"riffle\\":{',
    ',\\"riffle\\":{\\"skill\\":\\"x\\"}',
    "",
    "\\\\",
    "é",
    "\\u00e9",
]
IDS = ["x", "é", "a\\u0062", 'q\\"', "\\\\"]


class Scanning(unittest.TestCase):
    def test_differential_scanning_finds_what_parsing_finds(self):
        fast = 0
        for name in IDS:
            for text in TEXTS:
                for ending in ENDINGS:
                    for form in ['{"id":"%s","text":"%s",%s}', '{"text":"%s","id":"%s",%s}']:
                        parts = (name, text) if form.startswith('{"id') else (text, name)
                        line = (form % (*parts, ending)).encode()
                        parsed = json.loads(line)
                        skill = parsed.get("riffle", {}).get("skill", "")
                        self.assertEqual(change(None, line), (parsed["id"], skill, True))
                        fast += id_of(line) is not None and skill_of(line) is not None
        self.assertGreater(fast, 25)

    def test_a_nested_object_of_that_name_is_not_taken_for_riffles(self):
        nested = b'{"id":"x","text":"t","metadata":{"n":1,"riffle":{"skill":"no"}}}'
        self.assertIsNone(skill_of(nested))
        self.assertEqual(change(None, nested), ("x", "", True))
        both = nested[:-1] + b',"riffle":{"skill":"yes"}}'
        self.assertEqual(change(None, both), ("x", "yes", True))

    def test_takedowns_of_both_kinds(self):
        self.assertEqual(change(None, b'{"id":"x","deleted":true}'), ("x", "", False))
        self.assertEqual(change("é".encode(), None), ("é", "", False))
        self.assertEqual(change(b"k", document("k")[1]), ("k", "a", True))

    def test_what_says_nothing_is_refused_with_the_reason(self):
        for value in [
            b"",
            b"{",
            b"[]",
            b'"x"',
            b"{}",
            b'{"id":7}',
            b'{"id":""}',
            b"\xff",
            b"[" * 9999,
        ]:
            self.assertRaises(Malformed, change, None, value)
        self.assertRaises(Malformed, change, None, None)
        self.assertRaises(Malformed, change, b"\xff", None)


class MalformedRecords(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.WARNING)
        self.addCleanup(logging.disable, logging.NOTSET)

    def test_they_are_counted_and_passed_over(self):
        broken = [
            (None, None),
            (None, b"no json"),
            (None, b'{"text":"no id"}'),
            # These two look well at both ends, and are found out when they are given out.
            (None, b'{"id":"p","text":broken,"riffle":{"skill":"a"}}'),
            (None, b'{"id":"q","text":7,"riffle":{"skill":"a"}}'),
        ]
        records = [document("x"), *broken, document("y")]
        it = feed(records, mixture(a=1))
        self.assertEqual((ids(it), it.counts.malformed), (["x", "y"], 5))
        shards = [feed(records, mixture(a=1), shard=n, shards=2) for n in range(2)]
        self.assertEqual(sorted(name for shard in shards for name in ids(shard)), ["x", "y"])

    def test_a_feed_that_repeats_drops_them_for_good(self):
        records = [(None, b'{"id":"q","text":7,"riffle":{"skill":"a"}}')]
        it = feed(records, mixture(a=1), repeat=True)
        self.assertEqual((ids(it), it.counts.malformed), ([], 1))

    def test_a_malformed_mixture_leaves_the_former_one(self):
        broken = [(None, b"{"), (None, b'{"skills":{"a":-1}}'), (None, None)]
        it = Feed(
            ListSource([document("x"), document("y", "b")]), ListSource([mixture(a=1), *broken])
        )
        self.assertEqual((ids(it), it.counts.malformed), (["x"], 3))
