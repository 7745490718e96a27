"""From observations to states, the numbers that a network eats; attacks stand behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite.arguments import check_fields, check_flags, check_numbers, described
from robustsuite.errors import InvalidInput


class Preprocessing(Protocol):
    """A frozen value that makes states of a batch of observations; it has no state of its own."""

    def __call__(self, observations: Any, *, device: torch.device | str) -> Float[Tensor, "batch *state"]:
        """Give the states of observations, as an environment shows them: an array, or a dict of arrays."""

    @property
    def limits(self) -> tuple[float, float]:
        """Give what no coordinate of a state lies beyond."""


def plain(observations: Any, *, device: torch.device | str) -> Float[Tensor, "batch *state"]:
    """Give observations as they are, in single precision.

    Raises:
        InvalidInput: a dict, or whole numbers, which are images.
    """
    if not isinstance(observations, np.ndarray | Tensor):
        raise InvalidInput(
            f"observations are {described(observations)}; expected arrays: name the parts of a dict by "
            "preprocessing.Keys(('observation', ...))"
        )
    values = torch.as_tensor(observations)
    if values.dtype == torch.uint8:
        raise InvalidInput("observations are images in 8 bits; expected preprocessing.Pixels() for them")
    return values.to(device, torch.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalizer:
    """Frozen statistics: ``clip((observation - mean) / scale, -limit, limit)``, in double precision.

    Args:
        mean: of each coordinate.
        scale: deviation of each coordinate, with what keeps it from 0 already added, > 0.
        limit: of the result, > 0.

    Raises:
        InvalidInput: another number of means than of scales, or a scale that is not positive.

    Source: as in stable-baselines3's VecNormalize, and in Zhang et al. 2020, appendix (SA-PPO).
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    limit: float = 10.0

    def __post_init__(self) -> None:
        check_fields(self, "limit", above=0)
        if len(self.mean) != len(self.scale) or not all(value > 0 for value in self.scale):
            raise InvalidInput(
                f"got {len(self.mean)} means and {len(self.scale)} scales; expected one positive scale for each mean"
            )

    def __call__(self, observations: Any, *, device: torch.device | str) -> Float[Tensor, "batch *state"]:
        values = torch.as_tensor(observations, dtype=torch.float64).to(device)
        if values.shape[1:] != (len(self.mean),):
            raise InvalidInput(
                f"observations have shape {tuple(values.shape[1:])}; expected ({len(self.mean)},), the coordinates that "
                "the statistics belong to"
            )
        states = (values - values.new_tensor(self.mean)) / values.new_tensor(self.scale)
        return states.clamp(-self.limit, self.limit).float()

    @property
    def limits(self) -> tuple[float, float]:
        """See `Preprocessing`."""
        return (-self.limit, self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Padded:
    """Zeros where an older version of the environment showed coordinates that the present one leaves out.

    For agents of MuJoCo's version 2: version 5 of Ant and Humanoid leaves out what belongs to the world's body, of Reacher the
    last coordinate; all of these were zero, or nearly so.

    Args:
        places: of the zeros among the coordinates of the state, rising, >= 0.
        size: coordinates of the state, zeros included.
        then: statistics for all of them, or None.

    Raises:
        InvalidInput: places that do not rise, or lie outside.
    """

    places: tuple[int, ...]
    size: int
    then: Normalizer | None = None

    def __post_init__(self) -> None:
        check_fields(self, "size", integer=True, least=1)
        check_numbers("places", self.places, integer=True, least=0, below=self.size)
        if list(self.places) != sorted(set(self.places)):
            raise InvalidInput(f"places is {self.places}; expected different numbers that rise")

    def __call__(self, observations: Any, *, device: torch.device | str) -> Float[Tensor, "batch *state"]:
        values = torch.as_tensor(observations, dtype=torch.float64).to(device)
        shown = self.size - len(self.places)
        if values.shape[1:] != (shown,):
            raise InvalidInput(
                f"observations have shape {tuple(values.shape[1:])}; expected ({shown},), to which {len(self.places)} zeros "
                "are added"
            )
        full = values.new_zeros(len(values), self.size)
        kept = torch.ones(self.size, dtype=torch.bool, device=values.device)
        kept[list(self.places)] = False
        full[:, kept] = values
        return full.float() if self.then is None else self.then(full, device=device)

    @property
    def limits(self) -> tuple[float, float]:
        """See `Preprocessing`."""
        return (-math.inf, math.inf) if self.then is None else self.then.limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """Images in 8 bits to [0, 1], channels first.

    Args:
        channels_last: whether the environment shows (height, width, channels).
    """

    channels_last: bool = False

    def __post_init__(self) -> None:
        check_flags(self, "channels_last")

    def __call__(self, observations: Any, *, device: torch.device | str) -> Float[Tensor, "batch *state"]:
        values = torch.as_tensor(observations).to(device)
        if values.dtype != torch.uint8 or values.dim() != 4:
            raise InvalidInput(
                f"observations have shape {tuple(values.shape)} and dtype {values.dtype}; expected images in 8 bits"
            )
        values = values.float() / 255.0
        return values.permute(0, 3, 1, 2).contiguous() if self.channels_last else values

    @property
    def limits(self) -> tuple[float, float]:
        """See `Preprocessing`."""
        return (0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Parts of a dict of vectors, side by side in the order of their names here.

    Args:
        names: of the parts, each with its number of coordinates.
    """

    names: tuple[tuple[str, int], ...]

    def __call__(self, observations: Any, *, device: torch.device | str) -> Float[Tensor, "batch *state"]:
        if not isinstance(observations, Mapping):
            raise InvalidInput(f"observations are {described(observations)}; expected a dict of vectors")
        missing = [name for name, _ in self.names if name not in observations]
        if missing:
            raise InvalidInput(
                f"observations have no '{missing[0]}'; expected the parts {[name for name, _ in self.names]}"
            )
        parts = [torch.as_tensor(observations[name]).flatten(1).float() for name, _ in self.names]
        return torch.cat(parts, 1).to(device)

    @property
    def limits(self) -> tuple[float, float]:
        """See `Preprocessing`."""
        return (-math.inf, math.inf)
