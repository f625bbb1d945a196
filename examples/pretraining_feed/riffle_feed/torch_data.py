"""The feed as a PyTorch dataset, for a DataLoader with any number of workers on any rank."""

import torch.distributed
from torch.utils.data import IterableDataset, default_collate, get_worker_info

from .progress import Progress


class TorchFeed(IterableDataset):
    """Yields (sample, receipt); rank r's worker w of W has shard r · W + w of the documents.

    `make_feed(shard=…, shards=…, state=…)` makes a shard's feed, in the worker's process. `sample`
    turns a document into what the collate function takes: tokens, say; by default its text. Rank
    and number of ranks are those of `torch.distributed`, if it is initialized, or 0 of 1.

    A loader works ahead, so the dataset does not know what was trained on. Keep a `progress()`,
    confirm each batch's receipts after its step, and save its state with the weights. `state` is
    of all ranks: gather theirs, and make one of them by `Progress.merged(states).state_dict()`.
    """

    def __init__(self, make_feed, sample=None, rank=None, ranks=None, state=None):
        super().__init__()
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self._rank = (
            rank if rank is not None else torch.distributed.get_rank() if distributed else 0
        )
        self._ranks = ranks or (torch.distributed.get_world_size() if distributed else 1)
        self._make_feed, self._sample, self._state = make_feed, sample, state

    def progress(self, workers=0):
        """The progress to confirm this rank's receipts to, with so many workers a rank."""
        shards = self._ranks * max(1, workers)
        if self._state is None:
            return Progress(shards)
        return Progress.from_state(self._state).shared_among(shards)

    def __iter__(self):
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        shard, shards = self._rank * workers + worker, self._ranks * workers
        with self._make_feed(shard=shard, shards=shards, state=self._state) as feed:
            for document in feed:
                sample = document.text if self._sample is None else self._sample(document)
                yield sample, document.receipt


class Collate:
    """A collate function that gives (batch, receipts)."""

    def __init__(self, collate=default_collate):
        self._collate = collate

    def __call__(self, pairs):
        return self._collate([sample for sample, _ in pairs]), [receipt for _, receipt in pairs]
