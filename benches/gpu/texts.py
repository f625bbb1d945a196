"""Texts of given numbers of tokens, out of the words of the project's reference texts."""

import json
import pathlib
import random

import documents as cut

REFERENCE = pathlib.Path(__file__).parents[2] / "kernels" / "reference" / "texts.jsonl"
# Running English, as most of the web is; other scripts have a token a letter in many vocabularies.
SOURCE = "long-700"
MIXES = ["length 32", "length 256", "log-normal 128"]


def reference():
    """Every reference text."""
    lines = REFERENCE.read_text().splitlines()
    return [json.loads(line)["text"] for line in lines]


def lengths(mix, tokens, longest):
    """Document lengths of a mix in tokens, special ones counted, about so many in all."""
    if mix == "length 32":
        return [32] * max(1, tokens // 32)
    if mix == "length 256":
        return [256] * max(1, tokens // 256)
    if mix == "log-normal 128":
        return cut.log_normal(random.Random(f"{mix} {tokens}"), max(1, tokens // 128), mean=128, longest=longest)
    raise ValueError(f"there is no mix {mix}")


def texts(mix, tokens, tokenizer, longest):
    """Runs of words that start anywhere in the source, each of the wanted length within a word.

    `tokenizer` is a `tokenizers.Tokenizer`: words separated by spaces have the same tokens alone and in a text.
    """
    items = map(json.loads, REFERENCE.read_text().splitlines())
    words = next(item["text"] for item in items if item["name"] == SOURCE).split()
    counts = [len(tokenizer.encode(word, add_special_tokens=False).ids) for word in words]
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    draw = random.Random(mix)
    return [run_of(words, counts, draw.randrange(len(words)), n - special) for n in lengths(mix, tokens, longest)]


def run_of(words, counts, start, wanted):
    chosen, place = [], start
    while not chosen or counts[place] <= wanted:
        chosen.append(words[place])
        wanted -= counts[place]
        place = (place + 1) % len(words)
    return " ".join(chosen)
