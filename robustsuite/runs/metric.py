"""What a number measures, as a value that stands beside the place where it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from robustsuite.arguments import check_kind, described
from robustsuite.errors import InvalidInput

Kind = Literal["clean", "attacked", "certified", "other"]
Better = Literal["higher", "lower"]

SHARE = "share"
"""The unit of a part of n, in [0, 1], which reports show in percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What a number measures.

    Args:
        name: such as "robust_accuracy".
        kind: "clean": without an adversary; "attacked": what an attack left; "certified": what is proven against every attack
            of a perturbation; "other" for all else.
        unit: `SHARE`, or what is counted: "return", "seconds", "".
        better: which way is good. An adversary goes the other way.
        quantity: what is the same in clean, attacked and certified numbers that stand side by side; the name by default.

    Raises:
        InvalidInput: an empty name, or something else than the words above.

    Example:
        >>> Metric(name="robust_accuracy", kind="attacked", unit=SHARE, quantity="accuracy").quantity
        'accuracy'
    """

    name: str
    kind: Kind
    unit: str
    better: Better = "higher"
    quantity: str = ""

    def __post_init__(self) -> None:
        for field in ("name", "unit", "quantity"):
            check_kind(getattr(self, field), str, f"{field} of a metric", "a text")
        if not self.name:
            raise InvalidInput("name of a metric is ''; expected what it measures, such as 'accuracy'")
        for field, words in (("kind", get_args(Kind)), ("better", get_args(Better))):
            if (given := getattr(self, field)) not in words:
                expected = ", ".join(map(repr, words))
                raise InvalidInput(
                    f"{field} of the metric '{self.name}' is {described(given)}; expected one of {expected}"
                )
        object.__setattr__(self, "quantity", self.quantity or self.name)

    @property
    def is_share(self) -> bool:
        """Whether it is a part of n, shown in percent."""
        return self.unit == SHARE

    def beats(self, one: float, other: float) -> bool:
        """Whether a value is better than another one."""
        return one > other if self.better == "higher" else one < other
