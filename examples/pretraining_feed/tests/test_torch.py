"""In a DataLoader with several workers; where torch is installed."""

import itertools
import json
import unittest

from riffle_feed import Feed, ListSource

from .support import log_with_a_past, mixture

try:
    from torch.utils.data import DataLoader

    from riffle_feed.torch_data import Collate, TorchFeed
except ImportError:
    DataLoader = None

RECORDS, LIVE = log_with_a_past(8)
WEIGHTS = mixture(a=0.6, b=0.3, c=0.1)


def make_feed(**shard):
    return Feed(ListSource(RECORDS), ListSource([WEIGHTS]), **shard)


@unittest.skipUnless(DataLoader, "torch is not installed")
class Loaders(unittest.TestCase):
    def loader(self, workers, rank=0, ranks=1, state=None, processes="fork"):
        dataset = TorchFeed(make_feed, id_and_size, rank, ranks, state)
        context = processes if workers else None
        options = {"num_workers": workers, "multiprocessing_context": context}
        return dataset, DataLoader(dataset, batch_size=4, collate_fn=Collate(), **options)

    def test_workers_and_ranks_partition_the_stream(self):
        for workers, ranks in [(0, 1), (2, 1), (2, 2), (0, 3)]:
            names = []
            for rank in range(ranks):
                _, loader = self.loader(workers, rank, ranks)
                names += itertools.chain(*(batch["id"] for batch, _ in loader))
            self.assertEqual(sorted(names), sorted(LIVE), (workers, ranks))

    def test_workers_that_are_spawned_do_the_same(self):
        _, loader = self.loader(2, processes="spawn")
        names = itertools.chain(*(batch["id"] for batch, _ in loader))
        self.assertEqual(sorted(names), sorted(LIVE))

    def test_what_was_not_confirmed_is_given_again(self):
        for first, second in [(2, 2), (2, 3), (3, 0)]:
            dataset, loader = self.loader(first)
            progress, trained = dataset.progress(first), []
            for batch, receipts in itertools.islice(loader, 11):
                trained += batch["id"]
                progress.confirm(receipts)
            state = json.loads(json.dumps(progress.state_dict()))
            _, loader = self.loader(second, state=state)
            rest = list(itertools.chain(*(batch["id"] for batch, _ in loader)))
            self.assertEqual(sorted(trained + rest), sorted(LIVE), (first, second))


def id_and_size(document):
    """At the module's level, so that spawned workers find it."""
    return {"id": document.id, "bytes": len(document.text)}
