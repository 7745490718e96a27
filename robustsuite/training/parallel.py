"""Data-parallel training: the processes of an ``accelerate launch``, their devices, and averaged gradients."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import accelerate
import torch
from accelerate.utils import reduce
from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """The processes that train together, as one of them sees it.

    Gradients are averaged after the backward pass rather than by `DistributedDataParallel`, whose hooks see only
    what runs through the module's forward: bounds run through a traced graph.

    Attributes:
        device: of this process.
        count: of processes.
        rank: of this process, in [0, count).
    """

    device: torch.device
    count: int = 1
    rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by the mean over the processes, in one message."""
        if self.count == 1:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        mean = reduce(torch.cat([g.flatten() for g in gradients]), reduction="mean")
        for p, part in zip(parameters, mean.split([g.numel() for g in gradients]), strict=True):
            p.grad = part.view_as(p)

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.count > 1:
            accelerate.PartialState().wait_for_everyone()


def workers(device: torch.device | str) -> Workers:
    """Give the processes that a launcher started; without one, this process alone on `device`.

    Args:
        device: for a single process; of several, each takes the device that accelerate gives it, the CPU if
            `device` is the CPU.
    """
    device = torch.device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Workers(device=device)
    state = accelerate.PartialState(cpu=device.type == "cpu")
    return Workers(device=state.device, count=state.num_processes, rank=state.process_index)
