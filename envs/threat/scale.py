"""The units of an observation attack: eps counts standard deviations of each coordinate.

Coordinates of one observation have different units (metres, radians, radians per second), so one absolute radius means
nothing. The ball is ``|s^_i - s_i| <= eps * std_i``; the deviations are the environment's published ones, or those of the
states that an agent visits.

Source: Zhang et al. 2020 (SA-MDP), section 4 and the authors' code for the deviations of CartPole and Acrobot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from robustsuite.arguments import check_kind, check_number, check_numbers
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import L1, L2, Linf, Scaled

Lp = Linf | L2 | L1

PUBLISHED: dict[str, tuple[float, ...]] = {
    "CartPole-v1": (0.732, 1.063, 0.122, 0.439),
    "Acrobot-v1": (0.366, 0.651, 0.684, 0.677, 2.017, 3.020),
}


def published(env: str) -> tuple[float, ...]:
    """Give the standard deviation of each coordinate of a known environment.

    Raises:
        InvalidInput: no figures for `env`.
    """
    if env not in PUBLISHED:
        known = ", ".join(sorted(PUBLISHED))
        raise InvalidInput(
            f"no standard deviations are known for '{env}'; known are {known}: measure them with "
            "robustsuite.envs.scale.measured(states visited by a trained agent)"
        )
    return PUBLISHED[env]


def measured(states: npt.NDArray[np.floating]) -> tuple[float, ...]:
    """Give the standard deviation of each coordinate over visited states.

    Args:
        states: shape (steps, coordinates), for instance `Rollout.states` of natural episodes.

    Raises:
        InvalidInput: not a matrix of finite numbers with at least two rows.
    """
    check_kind(states, np.ndarray, "states", "an array of shape (steps, coordinates), such as Rollout.states")
    if not np.isfinite(states).all():
        raise InvalidInput("states have NaN or infinite values; expected finite numbers")
    if states.ndim != 2 or len(states) < 2:
        raise InvalidInput(f"states have shape {states.shape}; expected (steps >= 2, coordinates)")
    return tuple(float(value) for value in states.std(axis=0))


def ball(eps: float, std: tuple[float, ...]) -> Scaled:
    """Give the threat model ``|s^_i - s_i| <= eps * std_i``; tables call it ``Linf_std(eps)``.

    Args:
        eps: radius in standard deviations, >= 0.
        std: deviation of each coordinate, >= 0.

    Raises:
        InvalidInput: a negative or infinite radius.
    """
    check_number("eps", eps, least=0)
    check_numbers("std", std, least=0)
    return Scaled(Linf(eps), unit=std, name="std")


def stacked(perturbations: Sequence[Lp | Scaled]) -> Lp:
    """Give one threat model for a batch whose rows have balls of their own; it fits batches of that many rows only.

    Args:
        perturbations: one per row, of one norm, each with one radius per coordinate and no clip range.

    Raises:
        InvalidInput: none given, different norms, one radius for all coordinates, or a clip range.
    """
    plain = [one.in_input_units() if isinstance(one, Scaled) else one for one in perturbations]
    alike = len({type(one) for one in plain}) == 1
    if not alike or any(one.clip is not None or not isinstance(one.eps, tuple) for one in plain):
        raise InvalidInput(
            f"got {len(plain)} balls; expected one per row, of one norm, with one radius per coordinate and without clip "
            "range: scale.ball(0.1, std)"
        )
    return replace(plain[0], eps=tuple(one.eps for one in plain))
