"""The trainers of the LEGO experiment; where torch, and for GPT-Neo transformers, is installed."""

import random
import tempfile
import unittest

from lego_task.data import SKILLS, documents, sample, validation

try:
    from lego_task.small import SmallTrainer
    from lego_task.training import Plan
except ImportError:
    Plan = None
try:
    from lego_task.neo import NeoTrainer, Words, from_nothing
except ImportError:
    NeoTrainer = None

TINY = {"hidden_size": 32, "num_layers": 2, "num_heads": 2}


def saved(folder):
    """A model and a tokenizer as transformers saves them."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    model, words = from_nothing(**TINY)
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel(words.numbers, unk_token="Input"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)


@unittest.skipUnless(Plan, "torch is not installed")
class Training(unittest.TestCase):
    def evaluated(self, **values):
        plan = Plan(rounds=1, batch=1, **values)
        return [n for n in range(1, plan.steps_a_round + 1) if plan.is_evaluated(n)]

    def test_the_last_evaluations_of_a_round_are_reported(self):
        self.assertEqual(
            self.evaluated(steps_a_round=1000, evaluations=3, steps_between=50), [900, 950, 1000]
        )
        self.assertEqual(self.evaluated(steps_a_round=7, evaluations=1, steps_between=1), [7])
        self.assertEqual(self.evaluated(steps_a_round=3, evaluations=9, steps_between=2), [1, 3])

    def test_a_seed_decides_the_small_models_losses(self):
        texts = [it["text"] for it in documents(640, 3)]

        def trained(seed):
            trainer = SmallTrainer(seed)
            for first in range(0, len(texts), 64):
                trainer.step(texts[first : first + 64])
            return trainer.evaluate(10)

        self.assertEqual(trained(1), trained(1))
        self.assertNotEqual(trained(1), trained(2))
        self.assertEqual(list(trained(1).losses), list(SKILLS))


@unittest.skipUnless(NeoTrainer, "torch or transformers is not installed")
class Neo(unittest.TestCase):
    def test_words_and_signs_are_tokens(self):
        texts = [sample(n % 5, random.Random(n)) for n in range(200)]
        lengths = {len(tokens) for tokens in Words()(texts)}
        # Five clauses of five tokens and the question's; "Input :", "Output :" and the full stop.
        self.assertEqual(lengths, {5 * 5 + 5 + 4})

    def test_the_loss_is_that_of_the_answers_token(self):
        trainer = NeoTrainer(1, steps=60, device="cpu", bf16=False, **TINY)
        ids, _, places, answers = trainer._held_out[SKILLS[2]]
        texts = validation(0)[SKILLS[2]]
        zero, one = Words()(["0 1"])[0]
        said = [one if text[-2] == "1" else zero for text in texts]
        self.assertEqual(answers.tolist(), said)
        self.assertEqual({ids.shape[1] - 2}, set(places.tolist()))

    def test_training_lowers_the_loss(self):
        trainer = NeoTrainer(1, steps=100, device="cpu", bf16=False, learning_rate=3e-3, **TINY)
        before = trainer.evaluate(0)
        texts = [it["text"] for it in documents(100 * 16, 5)]
        for first in range(0, len(texts), 16):
            trainer.step(texts[first : first + 16])
        self.assertLess(trainer.evaluate(100).loss, before.loss - 1.5)
        # From 50 steps on the rate falls on a line, to zero after the last.
        self.assertEqual(trainer._schedule.get_last_lr(), [0, 0])

    def test_weights_are_loaded_with_their_tokenizer(self):
        texts = [it["text"] for it in documents(32, 5)]
        with tempfile.TemporaryDirectory() as folder:
            saved(folder)
            options = {"steps": 10, "device": "cpu", "weights": folder}
            losses = [NeoTrainer(seed, bf16=False, **options).evaluate(0).losses for seed in (1, 2)]
            self.assertEqual(*losses)
            trainer = NeoTrainer(1, bf16=True, **options)
            trainer.step(texts)
            self.assertNotEqual(trainer.evaluate(1).losses, losses[0])
            with self.assertRaisesRegex(ValueError, "a sample has 34 tokens, and the context 33"):
                NeoTrainer(1, context=33, **options)

    def test_a_folder_without_a_model_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(FileNotFoundError, f"{folder} holds no model"):
                NeoTrainer(1, steps=1, device="cpu", weights=folder)

    def test_the_default_shape_is_that_of_gpt_neo_125m(self):
        model, words = from_nothing()
        positions, width = 2048, 768
        block = 4 * width * width + width + 2 * (4 * width * width) + 5 * width + 4 * width
        expected = (words.size + positions) * width + 12 * block + 2 * width
        self.assertEqual(sum(it.numel() for it in model.parameters()), expected)

