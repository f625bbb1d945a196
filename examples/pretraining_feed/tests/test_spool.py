"""Texts wait on disk, and the disk space comes back."""

import random
import unittest

from riffle_feed import Feed, ListSource
from riffle_feed.spool import Spool

from .support import document, feed, ids, takedown


class Spools(unittest.TestCase):
    def test_model_what_was_put_is_got_until_it_is_released(self):
        draw = random.Random(1)
        spool, held = Spool(file_bytes=5_000), {}
        for _ in range(3_000):
            if held and draw.random() < 0.45:
                place = draw.choice(list(held))
                self.assertEqual(spool.get(place, len(held[place])), held[place])
                spool.release(place)
                del held[place]
            else:
                text = draw.randbytes(draw.randrange(1, 2_000))
                held[spool.put(text)] = text
        for place, text in held.items():
            self.assertEqual(spool.get(place, len(text)), text)
            spool.release(place)
        self.assertLess(spool.bytes, 7_000, "only the file that is written to is left")
        spool.close()
        self.assertEqual(spool.bytes, 0)

    def test_texts_larger_than_a_buffer_and_a_file(self):
        spool = Spool(file_bytes=3 << 20)
        texts = [bytes([n]) * (n << 20) for n in range(1, 6)]
        places = [spool.put(text) for text in texts]
        for place, text in zip(places, texts):
            self.assertEqual(spool.get(place, len(text)), text)

    def test_a_feed_reads_on_when_the_spool_has_room_again(self):
        records = [document(f"d{n}", text="x" * 1_000) for n in range(5_000)]
        records += [takedown("d4999")]
        it = Feed(ListSource(records), spool_bytes_max=300_000)
        it._spool = it._pool._spool = Spool(file_bytes=50_000)
        most, given = 0, []
        for document_given in it:
            most = max(most, it._spool.bytes)
            given.append(document_given.id)
        # A poll of a list is a thousand records at once.
        self.assertLess(most, 1_700_000)
        self.assertEqual(given, [f"d{n}" for n in range(4_999)])

    def test_withdrawn_documents_free_their_space(self):
        records = []
        for n in range(3_000):
            records += [document(f"d{n}", text="x" * 1_000), takedown(f"d{n}")]
        it = feed(records)
        it._spool = it._pool._spool = Spool(file_bytes=50_000)
        self.assertEqual(ids(it), [])
        self.assertLess(it._spool.bytes, 60_000)
        self.assertLess(len(it._pool._skills[""].queue), 100)
