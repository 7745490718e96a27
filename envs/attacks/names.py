"""Adversaries by the names that the command line takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from robustsuite.errors import InvalidInput

from ..policies import Policy, QFunction
from .adversary import Adversary
from .min_q import MinQ
from .pgd_on_q import PGDOnQ
from .random_noise import RandomNoise
from .toward_action import TowardAction


def _each_action(policy: Policy) -> tuple[Adversary, ...]:
    assert isinstance(policy, QFunction)
    return tuple(TowardAction(action=action) for action in range(policy.actions))


ANY: dict[str, Callable[[Policy], tuple[Adversary, ...]]] = {
    "random": lambda policy: (RandomNoise(),),
}
"""For every policy."""

OF_VALUES: dict[str, Callable[[Policy], tuple[Adversary, ...]]] = {
    "pgd": lambda policy: (PGDOnQ(),),
    "min-q": lambda policy: (MinQ(),),
    "toward": _each_action,
}
"""For policies that take the action of the largest value."""


def named(names: Sequence[str], policy: Policy) -> tuple[Adversary, ...]:
    """Give the adversaries of some names.

    Args:
        names: "none" for no attack, "all" for all that fit the policy, or some of them.
        policy: under attack.

    Raises:
        InvalidInput: an unknown name, or one that does not fit the policy.
    """
    known = ANY | (OF_VALUES if isinstance(policy, QFunction) else {})
    found: dict[str, Adversary] = {}
    for name in names:
        if name == "none":
            continue
        if name != "all" and name not in known:
            raise InvalidInput(
                f"attack is '{name}'; expected some of none, all, {', '.join(known)}, with commas between them"
            )
        for chosen in known if name == "all" else (name,):
            found |= {adversary.name: adversary for adversary in known[chosen](policy)}
    return tuple(found.values())
