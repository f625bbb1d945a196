"""With a real broker: transactions, tombstones, partitions, and the engine's own curated topic.

Where confluent-kafka is installed and scripts/kafka has its jars (`make kafka` fetches them).
"""

import itertools
import json
import os
import subprocess
import tempfile
import unittest
import uuid

from riffle_feed import Feed, ListSource, loss_record

from .engine import EngineCase, documents, needs_the_engine
from .support import document, ids, mixture

try:
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    from riffle_feed.kafka import KafkaLosses, KafkaSource
except ImportError:
    Producer = None

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
SCRIPT = os.path.join(ROOT, "scripts", "kafka")
CACHE = os.environ.get("RIFFLE_KAFKA_CACHE", os.path.join(ROOT, ".cache", "kafka"))
HERE = Producer is not None and os.path.exists(os.path.join(CACHE, "libs"))


@unittest.skipUnless(HERE, "confluent-kafka or Kafka's jars are missing")
class Kafka(EngineCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        started = subprocess.run([SCRIPT, "start", folder.name], stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(subprocess.run, [SCRIPT, "stop", folder.name])
        cls.properties = {"bootstrap.servers": started.stdout.strip()}

    def setUp(self):
        if os.environ.get("RIFFLE"):
            super().setUp()

    def topic(self, partitions=1):
        name = f"t-{uuid.uuid4()}"
        admin = AdminClient(self.properties)
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
        return name

    def produce(self, topic, transactions):
        """Each transaction is a list of (key, value) and whether it is committed."""
        settings = {"transactional.id": topic, "partitioner": "murmur2_random"}
        producer = Producer({**self.properties, **settings})
        producer.init_transactions(30)
        for records, is_committed in transactions:
            producer.begin_transaction()
            for key, value in records:
                producer.produce(topic, key=key, value=value)
            producer.flush(30)
            (producer.commit_transaction if is_committed else producer.abort_transaction)(30)

    def feed(self, topic, *mixtures, follow=False, **options):
        source = KafkaSource(topic, self.properties, follow)
        it = Feed(source, ListSource(mixtures) if mixtures else None, **options)
        self.addCleanup(it.close)
        return it

    def test_only_what_was_committed_is_given(self):
        topic = self.topic()
        some = [(f"d{n}", document(f"d{n}")[1]) for n in range(10)]
        self.produce(topic, [(some[:4], True), (some[4:7], False), (some[7:], True)])
        self.assertEqual(ids(self.feed(topic)), ["d0", "d1", "d2", "d3", "d7", "d8", "d9"])

    def test_tombstones_withdraw(self):
        topic = self.topic()
        some = [(f"d{n}", document(f"d{n}")[1]) for n in range(3)]
        self.produce(topic, [(some, True), ([("d1", None)], True)])
        it = self.feed(topic, follow=True)
        stream = iter(it)
        self.assertEqual(ids(itertools.islice(stream, 2)), ["d0", "d2"])
        self.produce(topic, [([("d0", None), ("d3", document("d3")[1])], True)])
        self.assertEqual((next(stream).id, it.withdrawn()), ("d3", ["d0"]))

    def test_several_partitions_resume_at_every_step(self):
        topic = self.topic(partitions=3)
        records = [(f"d{n}", document(f"d{n}", "ab"[n % 2])[1]) for n in range(40)]
        self.produce(topic, [(records, True), ([("d5", None), ("d7", None)], True)])
        weights = mixture(a=0.7, b=0.3)
        whole = ids(self.feed(topic, weights))
        self.assertEqual(len(set(whole)), 38)
        for step in range(0, 39, 5):
            first = self.feed(topic, weights)
            began = ids(itertools.islice(first, step))
            state = json.loads(json.dumps(first.state_dict()))
            self.assertEqual(began + ids(self.feed(topic, weights, state=state)), whole)

    def test_losses_are_delivered_with_their_identity_as_key(self):
        topic = self.topic()
        KafkaLosses(topic, self.properties).report({"a": 1.5, "b": 2.5}, round=4, run="r1")
        settings = {"group.id": "test", "auto.offset.reset": "earliest"}
        consumer = Consumer({**self.properties, **settings})
        self.addCleanup(consumer.close)
        consumer.subscribe([topic])
        messages = consumer.consume(2, timeout=30)
        self.assertEqual(
            [json.loads(it.value()) for it in messages],
            [loss_record("a", 1.5, round=4, run="r1"), loss_record("b", 2.5, round=4, run="r1")],
        )
        key = {"run": "r1", "round": 4, "skill": "a"}
        self.assertEqual(json.loads(messages[0].key()), key)

    @needs_the_engine
    def test_the_engines_curated_topic(self):
        bootstrap = self.properties["bootstrap.servers"]
        self.engine.configure(f'kafka."bootstrap.servers" = "{bootstrap}"')
        self.engine.configure("topics.partitions = 2")
        self.engine.configure('documents.log = "kafka"')
        summary = self.engine.curate(documents(0, 200))
        given = list(self.feed("curated", mixture(a=1, b=1, c=1), skill="metadata.topic"))
        self.assertEqual((len(given), summary["curated"]), (100, 100))
        kept = self.engine.kept()
        self.assertEqual({it.id: it.value for it in given}, kept)
        taken_down = [{"id": given[0].id, "deleted": True}]
        self.engine.curate(taken_down)
        again = ids(self.feed("curated"))
        self.assertEqual(sorted(again), sorted(self.engine.kept()))
        self.assertNotIn(given[0].id, again)
