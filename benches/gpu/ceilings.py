"""What the device can do at best: a copy, a large product, and the model's own products, through PyTorch."""

import torch


def copied_bytes(device, size=1 << 30):
    """A copy on the device, and the bytes that it reads and writes."""
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return (lambda: target.copy_(source)), 2 * size


def product(device, rows, inner, columns):
    """A bf16 product of random matrices, and its operations."""
    # Random, not zeros: a device under its power limit multiplies zeros faster.
    left = torch.randn(rows, inner, device=device, dtype=torch.bfloat16)
    right = torch.randn(columns, inner, device=device, dtype=torch.bfloat16)
    out = torch.empty(rows, columns, device=device, dtype=torch.bfloat16)
    return (lambda: torch.matmul(left, right.T, out=out)), 2 * rows * inner * columns


def ceilings(device, products):
    """By name: what to run, how much it does, and the unit of the rate. `products` holds sizes by name."""
    large = 8192 if device.type == "cuda" else 256
    size = 1 << 30 if device.type == "cuda" else 1 << 20
    all_of_them = {"copy": (*copied_bytes(device, size), 1e12, "TB/s")}
    for name, sizes in ({f"{large} cubed": (large, large, large)} | products).items():
        all_of_them[f"product, {name}"] = (*product(device, *sizes), 1e12, "TFLOP/s")
    return all_of_them
