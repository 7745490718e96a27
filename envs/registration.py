"""The environments of this domain under their gymnasium ids: there as soon as `robustsuite.envs` is imported."""

from __future__ import annotations

import gymnasium as gym

_ATARI = ("Pong", "Freeway", "BankHeist", "RoadRunner")


def register() -> None:
    """Put the environments into gymnasium's registry, once; nothing heavy is imported before one is made."""
    for game in _ATARI:
        if f"robustsuite/{game}-v0" not in gym.registry:
            gym.register(
                id=f"robustsuite/{game}-v0",
                entry_point="robustsuite.envs.preprocessing.atari:make",
                kwargs={"game": game},
                max_episode_steps=27_000,
            )
