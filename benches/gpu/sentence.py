"""What a user would pick instead: sentence-transformers in bf16, from texts, and from token ids that are ready."""

import torch
from sentence_transformers import SentenceTransformer

import documents as cut


class Sentences:
    name = "sentence-transformers"

    def __init__(self, directory, device, dtype=torch.bfloat16):
        self.device = device
        options = {"dtype": dtype, "attn_implementation": "sdpa"}
        self.model = SentenceTransformer(str(directory), device=str(device), model_kwargs=options).eval()
        self.batches, self.batch_size = {}, {}

    def prepare_ids(self, mix, texts, budget):
        """Tokenizes and pads on the host. Only the batches' way to the device is part of what is measured."""
        ids = self.model.tokenizer(texts, truncation=True, max_length=self.model.max_seq_length)["input_ids"]
        pin = self.device.type == "cuda"
        self.batches[mix] = []
        for numbers in cut.padded_batches(ids, budget):
            shape = (len(numbers), cut.padded(max(len(ids[n]) for n in numbers)))
            inputs, mask = torch.full(shape, self.model.tokenizer.pad_token_id), torch.zeros(shape, dtype=torch.long)
            for row, number in enumerate(numbers):
                inputs[row, : len(ids[number])] = torch.tensor(ids[number])
                mask[row, : len(ids[number])] = 1
            both = (inputs.pin_memory(), mask.pin_memory()) if pin else (inputs, mask)
            self.batches[mix].append((numbers, *both))

    @torch.inference_mode()
    def embed(self, mix):
        """Each document's embedding, on the host, from ids."""
        rows = []
        for _, inputs, mask in self.batches[mix]:
            features = {
                "input_ids": inputs.to(self.device, non_blocking=True),
                "attention_mask": mask.to(self.device, non_blocking=True),
            }
            rows.append(self.model(features)["sentence_embedding"].float())
        rows = torch.cat(rows).cpu()
        order = torch.tensor([n for numbers, _, _ in self.batches[mix] for n in numbers])
        return torch.empty_like(rows).index_copy_(0, order, rows)

    def prepare_texts(self, mix, batch_size):
        self.batch_size[mix] = batch_size

    def text(self, mix, texts):
        """The same from texts, as its users call it."""
        return self.model.encode(texts, batch_size=self.batch_size[mix], show_progress_bar=False)
