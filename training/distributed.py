"""Training in several processes that make one step together, as `torchrun` starts them.

Every process holds the whole model and takes its rows of the global batch. Whatever is a mean over the batch (the
gradient, the loss, the statistics of batch norm) becomes a mean over all processes; everything else is computed alike
in each of them, from the same seed. So a step's result does not depend on their number, but for the rounding of sums.

Without torchrun there is one process, and every function here returns what it was given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class DistributedError(Exception):
    """Processes that cannot work together; the message says why and what would help."""


@contextmanager
def processes(device: torch.device) -> Iterator[torch.device]:
    """Joins the processes of a `torchrun` while it is entered, and gives this one's device: its own GPU, or the CPU."""
    if not dist.is_torchelastic_launched():
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
        dist.barrier()  # nobody leaves while another still waits for what it sends
    finally:
        dist.destroy_process_group()


def count() -> int:
    """How many processes make a step together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def number() -> int:
    """This one's place among them. Number 0 writes the files."""
    return dist.get_rank() if dist.is_initialized() else 0


def own_rows(batch_size: int) -> slice:
    """This process's rows of the global batch. Raises DistributedError if there is no equal share for everyone."""
    share, rest = divmod(batch_size, count())
    if rest:
        raise DistributedError(
            f"schedule.batch_size {batch_size} is that of all processes together, and {count()} of them cannot share "
            f"it equally; set it to a multiple of {count()}, or start another number of processes"
        )
    return slice(number() * share, (number() + 1) * share)


def averaging_gradients(loss: nn.Module) -> nn.Module:
    """`loss`, whose backward pass leaves the mean gradient of all processes in each of them."""
    return loss if count() == 1 else DistributedDataParallel(loss, gradient_as_bucket_view=True)


def mean(value: Tensor) -> Tensor:
    """The mean of `value` over all processes, with gradients to what each of them gave."""
    return value if count() == 1 else of_all(value).mean(dim=0)


def of_all(value: Tensor) -> Tensor:
    """The `value` of each process, [count, ...], with gradients to what each of them gave."""
    return value[None] if count() == 1 else Gather.apply(value)


class Gather(torch.autograd.Function):
    """Each process's loss depends on what every one gave, so gradients are summed over all of them on the way back."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        parts = [torch.empty_like(value, memory_format=torch.contiguous_format) for _ in range(count())]
        dist.all_gather(parts, value.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[number()]


def anywhere(flag: bool, device: torch.device) -> bool:
    """Whether `flag` is set in any process: signals come at different steps, and all must stop after the same one."""
    if count() == 1:
        return flag
    flags = torch.tensor(float(flag), device=device)
    dist.all_reduce(flags)
    return bool(flags > 0)


def check_same_step(step: int, device: torch.device) -> None:
    """Raises DistributedError unless every process is about to make step number `step`."""
    if count() == 1:
        return
    steps = torch.tensor([step, -step], device=device)
    dist.all_reduce(steps, dist.ReduceOp.MAX)
    highest, lowest = int(steps[0]), -int(steps[1])
    if highest != lowest:
        raise DistributedError(
            f"some processes start at step {lowest}, others at {highest}: all of them must see the same folder of the "
            "run, so on several machines --run is to be on a file system that they share"
        )
