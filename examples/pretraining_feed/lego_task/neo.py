"""A trainer of GPT-Neo with 125 million weights, the paper's model: for a GPU.

As in Skill-It's code: a language model over the whole text of a sample, AdamW, a learning rate that
rises for 50 steps and then falls to zero on a line, gradients cut at 1; the losses that are reported
are those of the answer's token alone.
"""

import re
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.nn import functional
from transformers import AutoTokenizer, GPTNeoConfig, GPTNeoForCausalLM

from .data import SKILLS, validation
from .training import Evaluation, optimizer

WARMUP_STEPS = 50
# The paper's, for weights that were trained before; those that were not have much further to go.
LEARNING_RATE = 5e-5
LEARNING_RATE_FROM_NOTHING = 5e-4
_IGNORED = -100


def shape(vocabulary, **other):
    """GPT-Neo-125M's configuration; any other for tests."""
    values = {"hidden_size": 768, "num_layers": 12, "num_heads": 12, **other}
    layers = [[["global", "local"], values["num_layers"] // 2]]
    return GPTNeoConfig(
        vocab_size=vocabulary, attention_types=layers, bos_token_id=0, eos_token_id=0, **values
    )


class Words:
    """A tokenizer for a model that has none: LEGO's words and signs, each a token."""

    _WORD = re.compile(r"\w+|[^\w\s]")

    def __init__(self):
        samples = [text for texts in validation(0).values() for text in texts]
        words = {word for text in samples for word in self._WORD.findall(text)}
        self.numbers = {word: number for number, word in enumerate(sorted(words), 1)}
        self.size = len(words) + 1

    def __call__(self, texts):
        """The numbers of each text's tokens, from 1."""
        return [[self.numbers[word] for word in self._WORD.findall(text)] for text in texts]


def from_weights(folder):
    """The pre-trained model in a folder as transformers saves it, and its tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = GPTNeoForCausalLM.from_pretrained(folder, local_files_only=True)
    return model, lambda texts: tokenizer(texts)["input_ids"]


def from_nothing(**other):
    """A model of this shape with random weights, and a tokenizer of LEGO's words."""
    words = Words()
    return GPTNeoForCausalLM(shape(words.size, **other)), words


class NeoTrainer:
    """A model that trains on batches of documents."""

    def __init__(
        self,
        seed,
        steps,
        device="cuda",
        weights=None,
        context=128,
        bf16=True,
        learning_rate=None,
        **other,
    ):
        torch.manual_seed(seed)
        if weights and not Path(weights, "config.json").is_file():
            raise FileNotFoundError(f"{weights} holds no model: it has no config.json")
        model, self._tokens = from_weights(weights) if weights else from_nothing(**other)
        self._device, self._context = device, context
        self._model = model.to(device).train()
        self._bf16 = bf16
        rate = learning_rate or (LEARNING_RATE if weights else LEARNING_RATE_FROM_NOTHING)

        def up_and_down(step):
            return min((step + 1) / WARMUP_STEPS, max(0, steps - step) / max(1, steps - WARMUP_STEPS))

        self._optimizer, self._schedule = optimizer(model, rate, up_and_down)
        held_out = validation(0)
        self._held_out = {skill: self._questions(held_out[skill]) for skill in SKILLS}

    def step(self, texts):
        """One step on a batch of texts."""
        ids, mask = self._padded(self._tokens(texts))
        with self._precision():
            logits = self._model(input_ids=ids, attention_mask=mask).logits
        # In 32 bits, as the exponentials of 16 add up badly.
        wanted = ids.masked_fill(mask == 0, _IGNORED)[:, 1:].flatten()
        loss = functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), wanted)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()

    @torch.no_grad()
    def evaluate(self, step):
        """The evaluation on the held-out samples, after this step."""
        self._model.eval()

        def answers(skill):
            ids, mask, places, expected = self._held_out[skill]
            with self._precision():
                logits = self._model(input_ids=ids, attention_mask=mask).logits
            rows = torch.arange(len(ids), device=ids.device)
            logits = logits[rows, places - 1].float()
            nats = functional.cross_entropy(logits, expected, reduction="none")
            return nats, logits.argmax(-1) == expected

        evaluation = Evaluation.of(step, answers)
        self._model.train()
        return evaluation

    def _questions(self, texts):
        """Samples as padded tokens, where each one's answer stands, and which token it is.

        The answer is where the tokens differ from those of the opposite text.
        """
        tokens = self._tokens(texts)
        places = [
            next(n for n, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1])
            for ours, theirs in zip(tokens, self._tokens([_opposite(text) for text in texts]))
        ]
        ids, mask = self._padded(tokens)
        places = torch.tensor(places, device=self._device)
        return ids, mask, places, ids.gather(1, places[:, None])[:, 0]

    def _padded(self, tokens):
        """Token ids and the mask of those that count, count x the longest text."""
        longest = max(map(len, tokens))
        if longest > self._context:
            raise ValueError(f"a sample has {longest} tokens, and the context {self._context}")
        ids = [text + [0] * (longest - len(text)) for text in tokens]
        mask = [[1] * len(text) + [0] * (longest - len(text)) for text in tokens]
        return torch.tensor(ids, device=self._device), torch.tensor(mask, device=self._device)

    def _precision(self):
        if not self._bf16:
            return nullcontext()
        return torch.autocast(torch.device(self._device).type, torch.bfloat16)


def _opposite(text):
    """The text with the other answer."""
    head, answer = text[:-2], text[-2]
    return f"{head}{1 - int(answer)},"
