"""Random streams from one seed.

A run has one integer seed. Each part of it (initialisation, shuffling, one attack on one example ...) draws from a stream
of its own, named by a path, so that adding a draw in one part does not change any other.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from robustsuite.errors import InvalidInput


def derive(seed: int, *path: str | int) -> int:
    """Give the seed of the stream that `path` names, for libraries that take an integer.

    Args:
        seed: the run's seed, >= 0.
        path: names or numbers, from coarse to fine: ``derive(0, "vision", "init")``.

    Returns:
        An integer in [0, 2**31), the same on every machine.

    Raises:
        InvalidInput: `seed` is negative.
    """
    if seed < 0:
        raise InvalidInput(f"seed is {seed}; expected an integer >= 0")
    text = repr((int(seed), *path)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") % 2**31


def generator(seed: int, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Give a torch generator for the stream that `path` names. See `derive`."""
    return torch.Generator(device=device).manual_seed(derive(seed, *path))


def numpy_generator(seed: int, *path: str | int) -> np.random.Generator:
    """Give a numpy generator for the stream that `path` names. See `derive`."""
    return np.random.default_rng(derive(seed, *path))
