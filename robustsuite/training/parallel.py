"""Data-parallel training: the processes of an ``accelerate launch``, their devices, and what they tell each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """The processes that train together, as one of them sees it.

    Gradients are summed after the backward pass rather than by `DistributedDataParallel`, whose hooks see only
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

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Give the sums over the processes of tensors that each has in the same shapes, one message for each dtype."""
        if self.count == 1:
            return list(tensors)
        from accelerate.utils import reduce  # takes a second, and one process needs none of it

        return _by_dtype(tensors, lambda flat: reduce(flat, reduction="sum"))

    def most(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Give the largest values over the processes. See `sum`."""
        if self.count == 1:
            return list(tensors)

        def largest(flat: Tensor) -> Tensor:
            torch.distributed.all_reduce(flat, op=torch.distributed.ReduceOp.MAX)
            return flat

        return _by_dtype(tensors, largest)

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.count > 1:
            import accelerate

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
    import accelerate

    state = accelerate.PartialState(cpu=device.type == "cpu")
    return Workers(device=state.device, count=state.num_processes, rank=state.process_index)


def _by_dtype(tensors: Sequence[Tensor], message: Callable[[Tensor], Tensor]) -> list[Tensor]:
    given: dict[int, Tensor] = {}
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        places = [place for place, tensor in enumerate(tensors) if tensor.dtype == dtype]
        flat = message(torch.cat([tensors[place].flatten() for place in places]))
        parts = flat.split([tensors[place].numel() for place in places])
        given |= {place: part.view_as(tensors[place]) for place, part in zip(places, parts, strict=True)}
    return [given[place] for place in range(len(tensors))]
