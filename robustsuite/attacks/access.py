"""What attacks ask of a model: decisions, scores or gradients; and which attacks get by with which."""

from __future__ import annotations

from enum import IntEnum


class Access(IntEnum):
    """What a model must answer; who answers one question answers those before it."""

    DECISIONS = 1
    """Whether an input meets the criterion: class numbers are enough."""
    SCORES = 2
    """How near an input comes to it: scores of all classes."""
    GRADIENTS = 3
    """The gradient of that: scores that torch can differentiate."""


_ATTACKS: dict[str, Access] = {}


def register(name: str, access: Access) -> None:
    """Note what an attack asks for, so that errors can name it."""
    _ATTACKS[name] = access


def way_out(access: Access) -> str:
    """Name the attacks that ask for no more than `access`, as the end of an error's line."""
    names = sorted(name for name, needed in _ATTACKS.items() if needed <= access)
    return (
        f"; {' and '.join([', '.join(names[:-1]), names[-1]] if names[1:] else names)} can attack it"
        if names
        else ""
    )
