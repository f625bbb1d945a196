"""Logs on Kafka, by confluent-kafka.

`properties` are librdkafka's, as in Riffle's own configuration: {"bootstrap.servers": …}.
"""

import json

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)

from .losses import _Losses
from .progress import position
from .sources import FeedError

_MESSAGES_A_POLL = 1_000
_ANSWER_S = 30


class KafkaSource:
    """All partitions of a topic from their beginnings on, committed records only.

    The feed keeps its own place, so no consumer group is joined and nothing is committed.
    """

    def __init__(self, topic, properties, follow=True):
        self._topic, self._follow = topic, follow
        self._consumer = Consumer(
            {
                "group.id": "riffle-feed",
                **properties,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        try:
            described = self._consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic]
        except KafkaException as error:
            raise FeedError(f"no answer from the brokers: {error}") from None
        if described.error is not None:
            raise FeedError(f"topic {topic}: {described.error}")
        self._behind = set(described.partitions)
        self._consumer.assign(
            [TopicPartition(topic, number, OFFSET_BEGINNING) for number in described.partitions]
        )

    at_end = property(lambda self: not self._behind)
    ended = property(lambda self: self.at_end and not self._follow)

    def poll(self, timeout_s=0.0):
        """What has come; waits for the first message only."""
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(_MESSAGES_A_POLL, timeout=0)]
        return [record for message in messages if (record := self._record(message))]

    def close(self):
        """Leaves the brokers."""
        self._consumer.close()

    def _record(self, message):
        error = message.error()
        if error is None:
            at = position(message.partition(), message.offset())
            return at, message.key(), message.value()
        if error.code() != KafkaError._PARTITION_EOF:
            raise FeedError(f"topic {self._topic}: {error}")
        self._behind.discard(message.partition())
        return None


class KafkaLosses(_Losses):
    """Losses to a topic. The key is the report's identity, so a compacted topic keeps the last."""

    def __init__(self, topic, properties):
        self._topic = topic
        # Placed as Java's clients do, like all that Riffle reads: a report stays behind the one
        # that it replaces.
        self._producer = Producer(
            {**properties, "partitioner": "murmur2_random", "enable.idempotence": True}
        )

    def _write(self, records):
        failures = []

        def delivered(error, _):
            if error is not None:
                failures.append(error)

        for record in records:
            identity = {name: record[name] for name in record if name != "loss"}
            self._producer.produce(
                self._topic,
                key=json.dumps(identity, sort_keys=True),
                value=json.dumps(record),
                on_delivery=delivered,
            )
        if self._producer.flush(_ANSWER_S) or failures:
            reason = failures[0] if failures else f"no answer in {_ANSWER_S} s"
            raise FeedError(f"losses were not delivered to {self._topic}: {reason}")
