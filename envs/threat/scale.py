"""The units of an observation attack: standard deviations, a state's own units, an agent's normalised units, images' range.

Coordinates of one observation have different units (metres, radians, radians per second), so one absolute radius means
nothing. The ball is ``|s^_i - s_i| <= eps * std_i``; the deviations are the environment's published ones, or those of the
states that an agent visits.

Source: Zhang et al. 2020 (SA-MDP), section 4 and the authors' code for the deviations of CartPole and Acrobot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from robustsuite.arguments import check_kind, check_number, check_numbers
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Linf, Scaled

from ..preprocessing import Keys, Normalizer

PUBLISHED: dict[str, tuple[float, ...]] = {
    "CartPole-v1": (0.732, 1.063, 0.122, 0.439),
    "Acrobot-v1": (0.366, 0.651, 0.684, 0.677, 2.017, 3.020),
}

MEASURED: dict[str, tuple[float, ...]] = {}
"""Of the states that trained plain DQN agents visit, where nothing is published."""

KNOWN = PUBLISHED | MEASURED


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


def raw(eps: float | Sequence[float]) -> Linf:
    """Give the threat model of a radius in the state's own units: one for all coordinates, or one for each, >= 0."""
    return Linf(eps if isinstance(eps, int | float) else tuple(eps))


def normalised(eps: float, normalizer: Normalizer) -> Scaled:
    """Give the ball around *raw* observations that an agent's statistics turn into one of radius eps around its states.

    For observations that are normalised later, where no attack can stand behind the statistics. Elsewhere the ball around
    normalised states is `raw`, of their own units.

    Args:
        eps: radius in the units of `normalizer`, >= 0.
        normalizer: the agent's preprocessing.
    """
    check_number("eps", eps, least=0)
    check_kind(normalizer, Normalizer, "normalizer", "the agent's preprocessing, a Normalizer")
    return Scaled(Linf(eps), unit=normalizer.scale, name="normalised")


def pixels(eps: float) -> Linf:
    """Give the threat model of images in [0, 1], such as ``pixels(1 / 255)``: no pixel leaves the range.

    Args:
        eps: radius as a share of the range, in [0, 1].
    """
    check_number("eps", eps, least=0, most=1)
    return Linf(eps, clip=(0.0, 1.0))


def parts(eps: float | Mapping[str, float], keys: Keys) -> Linf:
    """Give the threat model of a dict's parts, side by side as `Keys` puts them.

    Args:
        eps: radius of every part that is no goal (whose name does not end in "goal"), or of each part named, >= 0; what is not
            named stays as it is. Who sets the goal is not who senses the state, so goals are attacked only by name.
        keys: the parts, in the agent's preprocessing.

    Raises:
        InvalidInput: a part that `keys` lacks.
    """
    check_kind(keys, Keys, "keys", "the agent's preprocessing, a Keys")
    names = [name for name, _ in keys.names]
    if isinstance(eps, int | float):
        radii: Mapping[str, float] = {name: eps for name in names if not name.endswith("goal")}
    else:
        radii = eps
    unknown = sorted(set(radii) - set(names))
    if unknown:
        raise InvalidInput(f"eps names the part '{unknown[0]}'; expected some of {names}")
    return Linf(tuple(float(radii.get(name, 0.0)) for name, size in keys.names for _ in range(size)))
