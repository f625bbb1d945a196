"""Curated logs and mixtures made of nothing, as sources."""

import json
import random

from riffle_feed import Feed, ListSource


def document(name, skill="a", text=None, **more):
    """A line of the curated log that admits a document."""
    measures = {"perplexity": 2.5, "skill": skill, "epoch": 1}
    value = {"id": name, "text": text or f"the text of {name}", **more, "riffle": measures}
    return None, json.dumps(value, separators=(",", ":")).encode()


def takedown(name):
    """A line that withdraws one."""
    return None, json.dumps({"id": name, "deleted": True}).encode()


def mixture(**weights):
    """A record of the mixture log."""
    return None, json.dumps({"epoch": 1, "skills": weights}).encode()


def feed(records, *mixtures, **options):
    """A feed over logs that stand still."""
    mixture_log = ListSource(mixtures) if mixtures else None
    return Feed(ListSource(records), mixture_log, **options)


def ids(documents):
    """Their ids."""
    return [it.id for it in documents]


def log_with_a_past(seed, count=300, skills="abc"):
    """A log in which documents are admitted, changed, withdrawn and admitted again; and the ids
    that are live at its end."""
    draw = random.Random(seed)
    live, records = {}, []
    for n in range(count):
        name = f"d{draw.randrange(count // 2)}"
        if name in live and draw.random() < 0.5:
            del live[name]
            records.append(takedown(name))
        else:
            live[name] = draw.choice(skills)
            records.append(document(name, live[name], text=f"{name} as of {n}"))
    return records, live
