"""Documents of Riffle's curated log for a trainer, in the live mixture's proportions.

Only the standard library is needed. `confluent-kafka` is for logs on Kafka, `torch` for
`riffle_feed.torch_data`, and `orjson`, where it is installed, for speed.
"""

from .feed import Document, Feed
from .losses import CommandLosses, FileLosses, loss_record
from .mixture import Mixture
from .progress import Progress, Receipt
from .sources import FeedError, FileSource, ListSource, TailSource

__all__ = [
    "CommandLosses",
    "Document",
    "Feed",
    "FeedError",
    "FileLosses",
    "FileSource",
    "ListSource",
    "Mixture",
    "Progress",
    "Receipt",
    "TailSource",
    "loss_record",
]
