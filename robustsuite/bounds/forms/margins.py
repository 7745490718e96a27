"""Margins of a classifier: differences of two outputs, held by their classes and not as rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from robustsuite.arguments import check_labels, check_number
from robustsuite.bounds.forms.picks import Differences


@dataclass(frozen=True, slots=True, eq=False)
class Margins:
    """The rows e_y - e_j for all j other than the label y, in rising order of j: an objective for every bound method.

    Written out (`rows`) they take classes^2 numbers for each example; a method takes them as they are, at a cost and in
    memory linear in the classes.

    Attributes:
        labels: class y of each example.
        others: all other classes.
        num_classes: number of outputs.
    """

    labels: Int[Tensor, " batch"]
    others: Int[Tensor, "batch others"]
    num_classes: int

    @property
    def shape(self) -> torch.Size:
        """Give the shape of the rows: (batch, classes - 1, classes)."""
        return torch.Size((*self.others.shape, self.num_classes))

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, like: Tensor | torch.device | str) -> Margins:
        """Give the same on a device, or on that of a tensor."""
        device = like.device if isinstance(like, Tensor) else like
        return Margins(self.labels.to(device), self.others.to(device), self.num_classes)

    def of(self, outputs: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch others"]:
        """Give the margins of outputs."""
        return outputs.gather(1, self.labels.unsqueeze(1)) - outputs.gather(1, self.others)

    def sum(self, weights: Float[Tensor, "batch others"]) -> Float[Tensor, "batch classes"]:
        """Give the row of each example that is its margins' sum with these weights."""
        row = weights.new_zeros(len(weights), self.num_classes).scatter(1, self.others, -weights)
        return row.scatter_add(1, self.labels.unsqueeze(1), weights.sum(1, keepdim=True))

    def rows(self) -> Float[Tensor, "batch others classes"]:
        """Write the rows out."""
        return self.form(torch.ones(()).to(self.labels.device)).dense().a

    def form(self, like: Tensor) -> Differences:
        """Give the margins as linear forms of the output, in the dtype of a tensor."""
        one = torch.ones((), dtype=like.dtype, device=like.device)
        here = self.to(like)
        return Differences(None, (self.num_classes,), here.labels.unsqueeze(1), here.others, one)


def margins(num_classes: int, labels: Int[Tensor, " batch"]) -> Margins:
    """Give the margins f_y - f_j of a classifier's outputs, for all j other than the label y, as an objective.

    Args:
        num_classes: number of outputs, >= 2.
        labels: class of each example, in [0, num_classes).

    Returns:
        A value to pass as ``objective=`` to any bound method or to `verify`; ``.rows()`` writes it out as a tensor
        (batch, num_classes - 1, num_classes), with the other classes in rising order.

    Raises:
        InvalidInput: labels are no class indices in that range.

    Example:
        >>> import torch
        >>> from robustsuite import bounds
        >>> bounds.margins(3, torch.tensor([1])).rows().tolist()
        [[[-1.0, 1.0, 0.0], [0.0, 1.0, -1.0]]]
    """
    check_number("num_classes", num_classes, integer=True, least=2)
    check_labels(labels, classes=num_classes)
    others = torch.arange(num_classes - 1, device=labels.device).unsqueeze(0)
    return Margins(labels.long(), others + (others >= labels.unsqueeze(1)).long(), num_classes)
