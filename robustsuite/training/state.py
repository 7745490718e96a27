"""State of a training that is no parameter: rows that belong to examples, and buffers that all processes share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor, nn

from robustsuite.errors import InvalidInput
from robustsuite.training.parallel import Workers


class PerExample(nn.Module):
    """Buffers with a row for each example of the data, such as radii that belong to examples.

    An objective reads and writes the rows of its batch: ``state.radius[batch.index]``. After a step every process has
    the rows that any of them wrote.

    Args:
        buffers: by name, each of shape (examples, ...).

    Raises:
        InvalidInput: buffers of differing length.
    """

    def __init__(self, **buffers: Tensor) -> None:
        super().__init__()
        lengths = {len(value) for value in buffers.values()}
        if len(lengths) > 1:
            raise InvalidInput(
                f"got buffers with {', '.join(map(str, sorted(lengths)))} rows; expected as many in each, one for each "
                "example"
            )
        for name, value in buffers.items():
            self.register_buffer(name, value)


class Snapshot:
    """The buffers of some modules as they were, those of examples in the rows of a batch alone.

    Args:
        modules: the model and the states of its objectives.
        index: the batch's examples.
    """

    def __init__(self, modules: Sequence[nn.Module], index: Int[Tensor, " batch"]) -> None:
        self._modules, self._index = tuple(modules), index
        self._whole = [buffer.detach().clone() for buffer in _whole(modules)]
        self._rows = [buffer[index].detach().clone() for buffer in _per_example(modules)]

    @torch.no_grad()
    def restore(self) -> None:
        """Put the buffers back."""
        for buffer, before in zip(_whole(self._modules), self._whole, strict=True):
            buffer.copy_(before)
        for buffer, before in zip(_per_example(self._modules), self._rows, strict=True):
            buffer[self._index] = before

    @torch.no_grad()
    def agree(self, workers: Workers, *, share: float) -> None:
        """Make the buffers, as they are now, the same in all processes.

        Floating-point buffers become the mean of what they are, weighted by the processes' shares of the batch (to the
        bit what they were, where no process changed them), counters the largest; rows of examples come from the process
        that had the example.

        Args:
            workers: the processes.
            share: of the batch that this process had; one with 0 has no say.
        """
        whole = list(_whole(self._modules))
        changes = [
            (now - before) * share if now.is_floating_point() else (now.long() - before.long())
            for now, before in zip(whole, self._whole, strict=True)
        ]
        sums = workers.sum([c for c in changes if c.is_floating_point()])
        tops = workers.most([c for c in changes if not c.is_floating_point()])
        for buffer, before in zip(whole, self._whole, strict=True):
            change = sums.pop(0) if buffer.is_floating_point() else tops.pop(0)
            buffer.copy_((before + change).to(buffer.dtype))
        per_example = list(_per_example(self._modules))
        if per_example:
            self._exchange_rows(workers, per_example, len(self._index) if share > 0 else 0)

    def _exchange_rows(self, workers: Workers, buffers: Sequence[Tensor], own: int) -> None:
        lengths = self._index.new_zeros(workers.count)
        lengths[workers.rank] = own
        ends = workers.sum([lengths])[0].cumsum(0).tolist()
        rows = []
        for values in (self._index, *(buffer[self._index] for buffer in buffers)):
            placed = values.new_zeros((ends[-1], *values.shape[1:]))
            placed[ends[workers.rank] - own : ends[workers.rank]] = values[:own]
            rows.append(placed)
        index, *rows = workers.sum(rows)
        for buffer, values in zip(buffers, rows, strict=True):
            buffer[index] = values


def _whole(modules: Sequence[nn.Module]) -> Iterator[Tensor]:
    """Give each buffer of the modules once, but for those of examples."""
    seen = {id(buffer) for buffer in _per_example(modules)}
    for module in modules:
        for buffer in module.buffers():
            if id(buffer) not in seen:
                seen.add(id(buffer))
                yield buffer


def _per_example(modules: Sequence[nn.Module]) -> Iterator[Tensor]:
    parts = {
        id(part): part for module in modules for part in module.modules() if isinstance(part, PerExample)
    }
    for part in parts.values():
        yield from part.buffers(recurse=False)
