"""The environments of this domain under their gymnasium ids: there as soon as `robustsuite.envs` is imported."""

from __future__ import annotations

import gymnasium as gym

ATARI = {f"robustsuite/{game}-v0": game for game in ("Pong", "Freeway", "BankHeist", "RoadRunner")}
"""Games of `preprocessing.atari` by their id."""


def register() -> None:
    """Put the environments into gymnasium's registry, once; nothing heavy is imported before one is made."""
    for name, game in ATARI.items():
        if name not in gym.registry:
            gym.register(
                id=name,
                entry_point="robustsuite.envs.preprocessing.atari:make",
                kwargs={"game": game},
                max_episode_steps=27_000,
            )
