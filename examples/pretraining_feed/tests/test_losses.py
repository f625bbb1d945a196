"""Losses are written as the engine takes them, or not at all."""

import json
import os
import sys
import tempfile
import unittest

from riffle_feed import CommandLosses, FileLosses, loss_record
from riffle_feed.sources import FeedError


class Losses(unittest.TestCase):
    def test_a_record_has_run_round_or_step_skill_and_loss(self):
        self.assertEqual(
            loss_record("a", 1.25, round=3, run="r1"),
            {"run": "r1", "round": 3, "skill": "a", "loss": 1.25},
        )
        self.assertEqual(
            loss_record("a", None, step=500), {"run": "", "step": 500, "skill": "a", "loss": None}
        )

    def test_what_the_engine_would_not_take_is_refused(self):
        for wrong in [{}, {"round": 1, "step": 1}]:
            self.assertRaises(ValueError, loss_record, "a", 1.0, **wrong)
        for loss in [-1.0, float("nan"), float("inf")]:
            self.assertRaises(ValueError, loss_record, "a", loss, round=1)

    def test_files_and_commands_get_a_line_a_skill(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "losses")
            FileLosses(path).report({"a": 1.5, "b": 0}, round=1)
            script = f"import sys; open({path!r}, 'a').write(sys.stdin.read())"
            CommandLosses([sys.executable, "-c", script]).report({"a": 1}, round=2, run="r")
            with open(path) as file:
                records = [json.loads(line) for line in file]
        self.assertEqual(
            [(it["run"], it["round"], it["skill"], it["loss"]) for it in records],
            [("", 1, "a", 1.5), ("", 1, "b", 0), ("r", 2, "a", 1)],
        )

    def test_a_command_that_fails_is_an_error_with_its_reason(self):
        command = [sys.executable, "-c", "import sys; sys.stdin.read(); sys.exit('no room')"]
        with self.assertRaisesRegex(FeedError, "exited 1: no room"):
            CommandLosses(command).report({"a": 1}, round=1)
