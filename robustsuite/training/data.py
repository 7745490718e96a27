"""What is trained on: batches that know which examples they hold, and data that make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from robustsuite import seeding
from robustsuite.arguments import check_callable, check_kind, check_labels, check_number, described
from robustsuite.errors import InvalidInput
from robustsuite.perturbations.features import check_batch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Examples, and which ones of the data they are.

    Attributes:
        x: inputs.
        y: class indices, or soft targets: probabilities of the classes.
        index: places of the examples in the data, in [0, examples).
        extra: whatever else data give with each example (weights, second views ...), by name.
    """

    x: Shaped[Tensor, "batch *input"]
    y: Int[Tensor, " batch"] | Float[Tensor, "batch classes"]
    index: Int[Tensor, " batch"]
    extra: Mapping[str, Shaped[Tensor, "batch *any"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def labels(self) -> Int[Tensor, " batch"]:
        """The class indices.

        Raises:
            InvalidInput: the targets are soft, and no class is meant more than another.
        """
        if self.y.dim() == 1 and not self.y.is_floating_point():
            return self.y
        raise InvalidInput(
            f"y holds {described(self.y)}, soft targets; expected class indices of shape (batch,): this objective needs "
            "a label for each example"
        )

    def select(self, rows: Tensor | slice) -> Batch:
        """Give the examples in some rows of the batch."""
        extra = {name: value[rows] for name, value in self.extra.items()}
        return Batch(x=self.x[rows], y=self.y[rows], index=self.index[rows], extra=extra)

    def to(self, device: torch.device | str) -> Batch:
        """Give the batch on a device."""
        extra = {name: value.to(device) for name, value in self.extra.items()}
        return Batch(x=self.x.to(device), y=self.y.to(device), index=self.index.to(device), extra=extra)


@runtime_checkable
class Data(Protocol):
    """Examples by their places, from 0 on."""

    def __len__(self) -> int:
        """Give the number of examples."""

    def batch(self, index: Int[Tensor, " batch"], *, generator: torch.Generator) -> Batch:
        """Give the examples at some places.

        Args:
            index: places in the data, on the CPU.
            generator: the stream of this pass over the data, at its beginning: the same for each of its batches.
                What is drawn for an example belongs to its place: see `robustsuite.seeding.numbered_seeds`.
        """


@dataclass(frozen=True, slots=True, eq=False)
class TensorData:
    """Examples that are held in memory.

    Args:
        x: inputs of all examples.
        y: class indices, or probabilities of the classes.

    Raises:
        InvalidInput: no examples, not one target for each, NaN, a negative label, or probabilities that are none;
            the message names the first such example.
    """

    x: Shaped[Tensor, "n *input"]
    y: Int[Tensor, " labels"] | Float[Tensor, "labels classes"]

    def __post_init__(self) -> None:
        check_batch(self.x, "x")
        check_batch(self.y, "y")
        soft = self.y.is_floating_point() and self.y.dim() == 2
        if len(self.x) == 0 or len(self.y) != len(self.x) or self.y.dim() != 1 + soft:
            raise InvalidInput(
                f"got {len(self.x)} examples and labels of shape {tuple(self.y.shape)}; expected one label for each, "
                "at least one"
            )
        _check_rows(torch.isfinite(self.x), "has NaN or infinite values")
        if soft:
            _check_rows(self.y >= 0, "has a probability that is negative or NaN")
            _check_rows((self.y.sum(1) - 1).abs() <= 1e-3, "has probabilities that do not sum to 1")
        else:
            check_labels(self.y, len(self.x))
            _check_rows(self.y >= 0, "has a negative label")

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Tensor, *, generator: torch.Generator) -> Batch:
        """See `Data`; nothing is drawn."""
        return Batch(x=self.x[index], y=self.y[index], index=index)


@dataclass(frozen=True, slots=True, eq=False)
class Subset:
    """Some examples of other data, numbered anew from 0.

    Args:
        data: that holds them.
        places: of the examples in `data`.

    Raises:
        InvalidInput: no places, or places outside the data.
    """

    data: Data
    places: Int[Tensor, " n"]

    def __post_init__(self) -> None:
        check_kind(self.data, Data, "data", "examples such as TensorData(x, y)")
        check_labels(self.places, name="places")
        if len(self.places) == 0 or int(self.places.min()) < 0 or int(self.places.max()) >= len(self.data):
            raise InvalidInput(
                f"places is {described(self.places)}; expected places in [0, {len(self.data)}), at least one"
            )

    def __len__(self) -> int:
        return len(self.places)

    def batch(self, index: Tensor, *, generator: torch.Generator) -> Batch:
        """See `Data`."""
        return replace(self.data.batch(self.places[index], generator=generator), index=index)


Augmentation = Callable[[Tensor, Tensor], Tensor]
"""Changes inputs (batch, *input) by one 64-bit seed for each example (batch,), and by nothing else."""


@dataclass(frozen=True, slots=True)
class Augmented:
    """Data whose inputs are changed anew in each pass, one step after the other.

    What is drawn belongs to the seed, the pass and the example: not to the batch it comes in, nor to the process.

    Args:
        data: to change.
        steps: changes, such as a crop or a flip; each draws from streams of its own.
    """

    data: Data
    steps: Sequence[Augmentation]

    def __post_init__(self) -> None:
        check_kind(self.data, Data, "data", "examples such as TensorData(x, y)")
        check_kind(self.steps, (tuple, list), "steps", "a tuple of functions of (x, seeds)")
        for step in self.steps:
            check_callable(step, "steps", "functions of (x, seeds)")

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, index: Tensor, *, generator: torch.Generator) -> Batch:
        """See `Data`."""
        batch = self.data.batch(index, generator=generator)
        for step in self.steps:
            own = int(torch.randint(2**31, (), generator=generator))
            seeds = seeding.numbered_seeds(own, numbers=index).seeds
            batch = replace(batch, x=step(batch.x, seeds.to(batch.x.device)))
        return batch


def hold_out(
    labels: Int[Tensor, " n"], *, share: float = 0.1, seed: int
) -> tuple[Int[Tensor, " kept"], Int[Tensor, " held"]]:
    """Draw a part of the training examples to choose by: the same share of each class.

    Weights, epochs and hyper-parameters that are chosen by what reports measure make these figures too good.

    Args:
        labels: class of each training example.
        share: of each class to hold out, in (0, 1); rounded, but one example at least.
        seed: of the draw, >= 0.

    Returns:
        Places of the examples to train on, and of those held out, both in rising order; for `Subset`, or to index with.

    Raises:
        InvalidInput: a class of which nothing would be left to train on.
    """
    check_labels(labels)
    check_number("share", share, above=0, below=1)
    stream = seeding.generator(seed, "held out")
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        own = (labels.cpu() == label).nonzero().squeeze(1)
        count = max(1, round(share * len(own)))
        if count == len(own):
            raise InvalidInput(
                f"class {label} has {len(own)} examples; expected enough to hold out {count} and train on others: "
                "give more examples, or a smaller share"
            )
        held[own[torch.randperm(len(own), generator=stream)[:count]]] = True
    return (~held).nonzero().squeeze(1), held.nonzero().squeeze(1)


def _check_rows(good: Tensor, complaint: str) -> None:
    whole = good.flatten(1).all(1) if good.dim() > 1 else good
    if not bool(whole.all()):
        row = int((~whole).nonzero()[0, 0])
        raise InvalidInput(f"example {row} {complaint}; remove it, or put another in its place")
