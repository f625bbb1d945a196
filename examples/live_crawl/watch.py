"""A line an epoch of what the pruning does, for a person.

    riffle tail statistics --json | python3 watch.py

Prints what it is told of, and ends with its input.
"""

import json
import sys


def line(record):
    """What a record of the statistics log says; None for one that this does not show."""
    if "live" in record:
        kept = record["curated"] / max(1, record["live"])
        return (
            f"epoch {record['epoch']}: {record['live']} pages, {record['curated']} kept"
            f" ({kept:.0%}), +{record['admitted']} -{record['withdrawn']}"
        )
    if "cut_low" in record or "cut_high" in record:
        cuts = " to ".join(shown(record[cut]) for cut in ("cut_low", "cut_high") if cut in record)
        group = record["group"] or "no group"
        return f"  {group}: {record['documents_kept']} of {record['documents']}, cut at {cuts}"
    return None


def shown(cut):
    """A cut by the number that people know it by."""
    return f"{cut['perplexity']:.1f}" if "perplexity" in cut else f"{cut['draw']:.3f}"


if __name__ == "__main__":
    for text in sys.stdin:
        if (words := line(json.loads(text))) is not None:
            print(words, flush=True)
