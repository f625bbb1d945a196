"""A consumer that is killed again and again goes on without loss or repetition."""

import os
import random
import subprocess
import sys
import tempfile
import time
import unittest

from riffle_feed import Feed, FileSource, ListSource

from .consumer import WEIGHTS
from .support import ids, log_with_a_past

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def killed_until_it_ends(test, log, folder, seconds_max):
    """Runs the consumer over and over, killing it at random; its output and how often it was."""
    output, checkpoint = os.path.join(folder, "output"), os.path.join(folder, "checkpoint")
    draw, kills = random.Random(11), 0
    for _ in range(200):
        command = [sys.executable, "-m", "tests.consumer", log, output, checkpoint]
        with subprocess.Popen(command, cwd=HERE) as consumer:
            size = os.path.getsize(output) if os.path.exists(output) else 0
            deadline = time.monotonic() + seconds_max
            # From the first document on, so that no start is too slow to get anywhere.
            while consumer.poll() is None and not _grown(output, size):
                test.assertLess(time.monotonic(), deadline, "the consumer hangs")
                time.sleep(0.002)
            time.sleep(draw.uniform(0, 0.12))
            if consumer.poll() is None:
                consumer.kill()
                kills += 1
            if consumer.wait() == 0:
                with open(output) as file:
                    return file.read().split(), kills
            test.assertEqual(consumer.returncode, -9)
    raise AssertionError("the consumer never ended")


def _grown(path, size):
    return os.path.exists(path) and os.path.getsize(path) != size


class Killed(unittest.TestCase):
    def test_fault_kill_and_resume_give_what_one_run_gives(self):
        records, live = log_with_a_past(9, count=1_500)
        with tempfile.TemporaryDirectory() as folder:
            log = os.path.join(folder, "log.jsonl")
            with open(log, "wb") as file:
                file.writelines(value + b"\n" for _, value in records)
            with Feed(FileSource(log), ListSource([WEIGHTS])) as it:
                whole = ids(it)
            self.assertEqual(sorted(whole), sorted(live))
            output, kills = killed_until_it_ends(self, log, folder, seconds_max=60)
        self.assertEqual(output, whole)
        self.assertGreater(kills, 3)
