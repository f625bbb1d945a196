"""What a user would pick instead: transformers in bf16 with PyTorch's attention, as it is and compiled."""

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

import documents as cut

IGNORED = -100
ROWS_OF_A_CHUNK = 8192


def load(directory, device, dtype=torch.bfloat16):
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype, attn_implementation="sdpa")
    return model.to(device).eval()


class Transformers:
    """Padded batches without a mask: the causal one already hides what is right of a token, and without another
    PyTorch takes its fastest attention."""

    name = "transformers sdpa"

    def __init__(self, model, separator, device):
        self.model, self.separator, self.device = model, separator, device
        self.batches = {}

    def prepare(self, mix, documents, budget):
        """Cuts a mix into padded batches on the host. Only their way to the device is part of what is measured."""
        pin = self.device.type == "cuda"
        self.batches[mix] = []
        for numbers in cut.padded_batches(documents, budget):
            shape = (len(numbers), cut.padded(max(len(documents[n]) for n in numbers)))
            inputs = torch.full(shape, self.separator)
            targets = torch.full(shape, IGNORED)
            for row, number in enumerate(numbers):
                ids = torch.tensor(documents[number])
                inputs[row, 1 : len(ids)] = ids[:-1]
                targets[row, : len(ids)] = ids
            both = (inputs.pin_memory(), targets.pin_memory()) if pin else (inputs, targets)
            self.batches[mix].append((numbers, *both))

    @torch.inference_mode()
    def nll(self, mix):
        """Each document's negative log-likelihood in nats, on the host."""
        sums = []
        for _, inputs, targets in self.batches[mix]:
            inputs = inputs.to(self.device, non_blocking=True)
            targets = targets.to(self.device, non_blocking=True)
            sums.append(self.batch_nll(inputs, targets))
        nats = torch.cat(sums).tolist()
        numbers = [n for numbers, _, _ in self.batches[mix] for n in numbers]
        return [nats for _, nats in sorted(zip(numbers, nats))]

    def batch_nll(self, inputs, targets):
        logits = self.model(input_ids=inputs, use_cache=False).logits.flatten(0, 1).float()
        losses = F.cross_entropy(logits, targets.flatten(), reduction="none", ignore_index=IGNORED)
        return losses.view(targets.shape).double().sum(1)


class Compiled(Transformers):
    """The same with the decoder compiled for any shape, and a compiled loss over chunks of the real tokens alone,
    which never holds more than a chunk's logits."""

    name = "transformers compiled"

    def __init__(self, model, separator, device):
        super().__init__(model, separator, device)
        self.decoder = torch.compile(model.model, dynamic=True)
        self.loss = torch.compile(chunk_loss)

    def batch_nll(self, inputs, targets):
        hidden = self.decoder(input_ids=inputs, use_cache=False).last_hidden_state
        real = targets != IGNORED
        rows, wanted = hidden[real], targets[real]
        count = len(rows)
        short = -count % ROWS_OF_A_CHUNK
        rows, wanted = F.pad(rows, (0, 0, 0, short)), F.pad(wanted, (0, short))
        weight = self.model.lm_head.weight
        chunks = zip(rows.split(ROWS_OF_A_CHUNK), wanted.split(ROWS_OF_A_CHUNK))
        losses = torch.cat([self.loss(chunk, weight, ids) for chunk, ids in chunks])[:count]
        sums = torch.zeros(targets.shape, dtype=torch.float64, device=losses.device)
        return sums.masked_scatter(real, losses.double()).sum(1)


def chunk_loss(rows, weight, wanted):
    logits = (rows @ weight.T).float()
    return torch.logsumexp(logits, -1) - logits.gather(-1, wanted[:, None])[:, 0]
