"""Random streams of episodes: one for each, so that no figure depends on which others are played beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from robustsuite import seeding
from robustsuite.seeding import ExampleSeeds


class Streams:
    """Seeds for the random numbers of each environment, new ones at each draw.

    Args:
        seed: of the run.
        path: names of the stream, from coarse to fine. See `seeding.derive`.
        episodes: what tells each environment's episode from the others, such as its reset seed.
        device: of the seeds.
    """

    def __init__(
        self, seed: int, *path: str | int, episodes: Sequence[int], device: torch.device | str = "cpu"
    ) -> None:
        keys = [seeding.derive(seed, *path, int(episode)) * 2**32 for episode in episodes]
        self._keys = torch.tensor(keys, dtype=torch.int64, device=device)
        self._draws = 0

    def draw(self) -> ExampleSeeds:
        """Give one seed for each environment, for what is drawn now."""
        self._draws += 1
        return ExampleSeeds(seeding.streamed(self._keys, self._draws))

    def __len__(self) -> int:
        return len(self._keys)
