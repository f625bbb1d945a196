"""LEGO samples, in the text form of Skill-It's reference code.

Five of 26 letters make a chain: the first has a value, each other one is its parent or not its
parent. The clauses come in any order, and one letter is asked for. Its place in the chain, 0 to 4,
is the skill.
"""

import random
import re
import string

SKILLS = tuple(f"lego-{place}" for place in range(5))

# Row i: what training on skill i does for skill j, as Skill-It's authors found it.
GRAPH = (
    (1.0, 0.0, 0.0, 0.0, 0.0),
    (0.5, 1.0, 0.5, 0.5, 0.0),
    (0.0, 0.0, 1.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 1.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, 1.0),
)

# What Skill-It calls random: how often each skill stands in the training data.
RANDOM_MIX = (1, 1, 1, 3, 5)

_CLAUSE = re.compile(r"([a-z]) = (val|not) ([a-z01])")
WORDS = ("0", "1", "val", "not", "?", *string.ascii_lowercase)
_NUMBER = {word: number for number, word in enumerate(WORDS)}


def sample(place, draw):
    """The text of a sample that asks for the variable at this place of the chain."""
    letters = list(string.ascii_lowercase)
    draw.shuffle(letters)
    chain = letters[: len(SKILLS)]
    values = [draw.randrange(2) for _ in chain]
    clauses = [f" {chain[0]} = val {values[0]} , "]
    for parent in range(len(chain) - 1):
        word = "val" if values[parent] == values[parent + 1] else "not"
        clauses.append(f" {chain[parent + 1]} = {word} {chain[parent]} , ")
    draw.shuffle(clauses)
    return f"Input: {''.join(clauses)[:-3]}. Output: {chain[place]} = val {values[place]},"


def documents(count, seed, weights=(1, 1, 1, 1, 1), name="train"):
    """Samples as documents for `riffle feed`, skills drawn by these weights."""
    draw = random.Random(f"{name} {seed}")
    for n in range(count):
        place = draw.choices(range(len(SKILLS)), weights)[0]
        yield {
            "id": f"{name}-{n}",
            "text": sample(place, draw),
            "source": "lego",
            "metadata": {"skill": SKILLS[place]},
        }


def validation(seed, each=100):
    """The texts of the validation set, by skill."""
    draw = random.Random(f"validation {seed}")
    return {name: [sample(n, draw) for _ in range(each)] for n, name in enumerate(SKILLS)}


def encoded(text):
    """A sample's clauses and its answer, 0 or 1.

    The clauses are triples of numbers below `len(WORDS)`, in the order of the text; the last one is
    the question, with "?" for the answer.
    """
    *clauses, (asked, word, answer) = _CLAUSE.findall(text)
    clauses.append((asked, word, "?"))
    return [[_NUMBER[word] for word in clause] for clause in clauses], int(answer)
