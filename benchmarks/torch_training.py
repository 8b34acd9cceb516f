"""One PyTorch training step as its users would write it, for `train.py`."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional
from torch_networks import build


def make_step(
    model: str,
    pixels: np.ndarray,
    numbers: np.ndarray,
    batch: int,
    members: int,
    how: str,
    threads: int | None,
    dtype: str = "bfloat16",
) -> tuple[Callable[[], None], Callable[[], float]]:
    """(a step on the next batch, peak GiB on the GPU or 0).

    Args:
      model: a name of `torch_networks.build`.
      pixels: uint8 [example, height, width, channel].
      numbers: labels [example].
      batch: examples a step.
      members: models trained together; two agree by the symmetric KL loss.
      how: contains `channels_last`, `compile` or neither.
      threads: of this process; None leaves PyTorch's default.
      dtype: float32 or bfloat16, of a GPU's products; a CPU's are float32.
    """
    if threads:
        torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mixed = device == "cuda" and dtype == "bfloat16"
    layout = torch.channels_last if "channels_last" in how else torch.contiguous_format
    images = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(numbers).to(device)
    order = torch.randperm(len(labels), device=device)
    _, size, _, channels = pixels.shape
    classes = int(numbers.max()) + 1
    networks = torch.nn.ModuleList(
        build(model, classes, channels, size).to(device, memory_format=layout)
        for _ in range(members)
    )
    optimizer = torch.optim.SGD(
        networks.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4
    )

    def loss_of(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        x = ((images.float() / 255 - 0.5) / 0.25).contiguous(memory_format=layout)
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            logits = [network(x).float() for network in networks]
        loss = torch.stack([functional.cross_entropy(each, labels) for each in logits]).sum()
        if members > 1:
            a, b = (functional.log_softmax(each, -1) for each in logits)
            loss = loss + 0.01 * ((a - b) * (a.exp() - b.exp())).sum(-1).mean()
        return loss

    if "compile" in how:
        mode = "reduce-overhead" if device == "cuda" else "default"
        loss_of = torch.compile(loss_of, mode=mode)
    taken = 0

    def step() -> None:
        nonlocal taken
        chosen = order[taken : taken + batch]
        taken += batch
        optimizer.zero_grad(set_to_none=True)
        loss_of(images[chosen], labels[chosen]).backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    def peak_gib() -> float:
        return torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0

    return step, peak_gib
