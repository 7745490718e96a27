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


_ATTACKS: dict[str, tuple[Access, bool]] = {}


def register(name: str, access: Access, *, nearest: bool) -> None:
    """Note what an attack asks for, and whether it looks for the nearest success, so that errors can name it."""
    _ATTACKS[name] = access, nearest


def way_out(access: Access, *, nearest: bool = False) -> str:
    """Name the attacks that ask for no more than `access`, as the end of an error's line.

    Args:
        access: what there is.
        nearest: whether only those are meant that look for the nearest success.
    """
    names = sorted(name for name, (needed, near) in _ATTACKS.items() if needed <= access and near >= nearest)
    return (
        f": take {', '.join(names[:-1])} or {names[-1]}"
        if names[1:]
        else "".join(f": take {n}" for n in names)
    )
