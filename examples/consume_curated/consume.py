"""Keeps a folder equal to the curated set: a file a document, gone when it is withdrawn.

    python3 consume.py localhost:9092 FOLDER [TOPIC]

Needs confluent-kafka.
"""

import hashlib
import json
import pathlib
import sys

from confluent_kafka import Consumer


def main(brokers, folder, topic="curated"):
    """Follows the topic for ever."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"consume-curated-{folder.resolve()}",
            "auto.offset.reset": "earliest",
            # An epoch's changes become visible together, when they are committed, or never.
            "isolation.level": "read_committed",
            # The place is committed below, behind the changes: after a crash some come twice, and
            # do the same thing twice.
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    try:
        while True:
            messages = consumer.consume(1000, timeout=1.0)
            for message in messages:
                if message.error():
                    sys.exit(f"{topic}: {message.error()}")
                apply(folder, message.key(), message.value())
            if messages:
                consumer.commit(asynchronous=False)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


def apply(folder, key, value):
    """One change: an upsert has the document as its value, a withdrawal has none."""
    path = folder / hashlib.blake2b(key, digest_size=16).hexdigest()
    if value is None:
        path.unlink(missing_ok=True)
        print(f"- {key.decode()}", flush=True)
    else:
        path.write_bytes(value)
        riffle = json.loads(value)["riffle"]
        print(f"+ {key.decode()} perplexity {riffle['perplexity']:.1f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
