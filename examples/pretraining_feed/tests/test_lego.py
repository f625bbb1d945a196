"""LEGO samples are in the form of the reference code, and their answers are right."""

import random
import re
import unittest
from collections import Counter

from lego_task.data import RANDOM_MIX, SKILLS, WORDS, documents, encoded, sample, validation

CLAUSE = re.compile(r"([a-z]) = (val|not) ([a-z01])")


def solved(text):
    """The letter asked for, its place in the chain and its value, worked out from the clauses."""
    clauses, question = text.split(". Output: ")
    found = {letter: (word, parent) for letter, word, parent in CLAUSE.findall(clauses)}
    asked = question[0]

    def walk(letter):
        word, parent = found[letter]
        if parent in "01":
            return 0, int(parent)
        place, value = walk(parent)
        return place + 1, value ^ (word == "not")

    return asked, *walk(asked)


class Samples(unittest.TestCase):
    def test_the_form_is_that_of_the_reference_code(self):
        clause = r" [a-z] = (val|not) [a-z01] "
        form = re.compile(
            rf"Input: ({clause}, ){{4}} [a-z] = (val|not) [a-z01]\. Output: [a-z] = val [01],"
        )
        for n in range(500):
            text = sample(n % 5, random.Random(n))
            self.assertTrue(form.fullmatch(text), text)

    def test_oracle_the_answer_follows_from_the_clauses(self):
        values = Counter()
        for n in range(1_000):
            text = sample(n % 5, random.Random(n))
            asked, place, value = solved(text)
            self.assertEqual((place, f"{asked} = val {value},"), (n % 5, text[-10:]))
            clauses, answer = encoded(text)
            self.assertEqual((len(clauses), answer), (6, value))
            self.assertEqual([WORDS[word] for word in clauses[-1]], [asked, "val", "?"])
            values[value] += 1
        self.assertAlmostEqual(values[1], 500, delta=60)

    def test_the_random_mix_is_1_1_1_3_5(self):
        found = Counter(it["metadata"]["skill"] for it in documents(11_000, 1, RANDOM_MIX))
        for skill, weight in zip(SKILLS, RANDOM_MIX):
            self.assertAlmostEqual(found[skill], 1_000 * weight, delta=200)

    def test_a_seed_decides_everything_and_validation_is_apart(self):
        self.assertEqual(list(documents(50, 1)), list(documents(50, 1)))
        self.assertNotEqual(list(documents(50, 1)), list(documents(50, 2)))
        held_out = validation(1)
        self.assertEqual([len(held_out[skill]) for skill in SKILLS], [100] * 5)
        trained = {it["text"] for it in documents(5_000, 1)}
        self.assertFalse(trained.intersection(*held_out.values()))
