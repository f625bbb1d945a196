"""Skill-It's update against numbers worked out by hand, and the traps of its reference code."""

import unittest
from math import exp

from lego_task.data import GRAPH
from lego_task.skill_it import mixture

ADDITION = ((1, 0, 0), (0.5, 1, 0), (0, 0, 1))


class SkillIt(unittest.TestCase):
    def assert_weights(self, found, expected):
        self.assertEqual([round(weight, 4) for weight in found], expected)
        self.assertAlmostEqual(sum(found), 1)

    def test_the_first_mixture_follows_from_the_graph_alone(self):
        self.assert_weights(mixture(GRAPH), [0.1635, 0.3461, 0.1635, 0.1635, 0.1635])
        self.assert_weights(mixture(ADDITION, eta=0.1), [0.3277, 0.3445, 0.3277])

    def test_later_ones_from_the_sum_of_the_window(self):
        expected = [0.0564, 0.4603, 0.1611, 0.1611, 0.1611]
        self.assert_weights(mixture(GRAPH, [[0, 2.1, 2.1, 2.1, 2.1]]), expected)
        thirds = [[0, 0.7, 0.7, 0.7, 0.7]] * 3
        self.assert_weights(mixture(GRAPH, thirds), expected)

    def test_the_window_forgets_what_came_before(self):
        recent = [[1, 2, 3, 4, 5], [0, 1, 0, 1, 0], [2, 2, 2, 2, 2]]
        self.assertEqual(mixture(GRAPH, [[9, 9, 9, 9, 9], *recent]), mixture(GRAPH, recent))

    def test_each_update_restarts_from_the_uniform_prior(self):
        first, second = mixture(((1, 0), (0, 1)), [[1, 0], [1, 0]], eta=1, window=1)
        self.assertAlmostEqual(first / second, exp(1))

    def test_large_losses_do_not_overflow(self):
        self.assertEqual(mixture(((1, 0), (0, 1)), [[1e6, 0]], eta=1), [1, 0])
