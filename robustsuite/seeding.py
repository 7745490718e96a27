"""Random streams from one seed.

A run has one integer seed. Each part of it (initialisation, shuffling, one attack on one example ...) draws from a stream
of its own, named by a path, so that adding a draw in one part does not change any other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from robustsuite.arguments import MAX_SEED, check_generator, check_number
from robustsuite.errors import InvalidInput


def derive(seed: int, *path: str | int) -> int:
    """Give the seed of the stream that `path` names, for libraries that take an integer.

    Args:
        seed: the run's seed, in [0, MAX_SEED].
        path: names or numbers, from coarse to fine: ``derive(0, "vision", "init")``.

    Returns:
        An integer in [0, 2**31), the same on every machine.

    Raises:
        InvalidInput: `seed` is out of its range, or no integer.
    """
    check_number("seed", seed, integer=True, least=0, most=MAX_SEED)
    text = repr((int(seed), *path)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") % 2**31


def generator(seed: int, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Give a torch generator for the stream that `path` names. See `derive`."""
    return torch.Generator(device=device).manual_seed(derive(seed, *path))


def numpy_generator(seed: int, *path: str | int) -> np.random.Generator:
    """Give a numpy generator for the stream that `path` names. See `derive`."""
    return np.random.default_rng(derive(seed, *path))


@dataclass(frozen=True, slots=True, eq=False)
class ExampleSeeds:
    """The examples' own seeds, where a generator is expected: what is drawn then does not depend on the batch.

    Args:
        seeds: 64-bit integers, shape (batch,).
    """

    seeds: Int[Tensor, " batch"]


def numbered_seeds(seed: int, *path: str | int, numbers: Int[Tensor, " batch"]) -> ExampleSeeds:
    """Give seeds that belong to the examples' numbers in the data, whichever of them share a batch.

    Args:
        seed: the run's seed, in [0, MAX_SEED].
        path: names or numbers, from coarse to fine. See `derive`.
        numbers: of the examples in the data.
    """
    start = derive(seed, *path) * 2**32
    return ExampleSeeds(_mix(numbers.long() * -0x61C8864680B583EB + start))


def example_seeds(count: int, *, generator: torch.Generator | ExampleSeeds | None = None) -> torch.Tensor:
    """Draw one 64-bit seed per example, on the generator's device; seeds that are given are given back.

    Noise made from these seeds (see `uniform`) belongs to its example: it does not depend on which other
    examples share the batch, nor on which of them are still being worked on.

    Raises:
        InvalidInput: no generator, or seeds for another number of examples.
    """
    if isinstance(generator, ExampleSeeds):
        if len(generator.seeds) != count:
            raise InvalidInput(
                f"got seeds for {len(generator.seeds)} examples and {count} examples; expected one seed for each"
            )
        return generator.seeds
    check_generator(generator)
    device = generator.device if generator is not None else "cpu"
    return torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator, device=device)


def streamed(seeds: Int[Tensor, " batch"], stream: int) -> Int[Tensor, " batch"]:
    """Give the examples seeds of another stream, >= 0; stream 0 is that of the seeds themselves."""
    return seeds if stream == 0 else _mix(seeds + stream)


def uniform(
    seeds: Int[Tensor, " batch"], size: int, *, stream: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Give uniform numbers in (0, 1) of shape (batch, size), the same bits on every device.

    A counter-based generator: number j of an example is a hash of j, keyed by the example's seed and the stream. It
    has 32 bits as float64; as float32, for a third of the time, the first 23 of these.

    Args:
        seeds: 64-bit integers.
        size: numbers for each example, < 2**31.
        stream: numbers of other streams of a seed are others.
        dtype: float32, float64, or a shorter one, to which float32 is rounded: 0 and 1 may occur then.

    Source: Steele, Lea and Flood 2014, figure 16 (the keys, by the mixer of SplitMix64); Wellons 2018, "Prospecting for
    hash functions", lowbias32 (the numbers, the second half of the key put in between).
    """
    key = _mix(_mix(seeds) + stream)
    first, second = (half.to(torch.int32).unsqueeze(-1) for half in ((key >> 32), (key << 32) >> 32))
    # In place: six temporaries of the size of a batch of images would cost more than the arithmetic.
    z = first + torch.arange(size, device=seeds.device, dtype=torch.int32)
    shifted = torch.empty_like(z)
    _fold(z, 16, shifted).mul_(0x7FEB352D).bitwise_xor_(second)
    _fold(z, 15, shifted).mul_(-0x7B935975)
    _fold(z, 16, shifted)
    if dtype == torch.float64:
        return z.double().add_(2.0**31 + 0.5).mul_(2.0**-32)
    return (z.bitwise_right_shift_(9)).float().add_(2.0**22 + 0.5).mul_(2.0**-23).to(dtype)


def _fold(z: Tensor, shift: int, shifted: Tensor) -> Tensor:
    """Do ``z ^= z >> shift`` on 32-bit integers in place; the mask makes torch's arithmetic shift a logical one."""
    torch.bitwise_right_shift(z, shift, out=shifted)
    return z.bitwise_xor_(shifted.bitwise_and_(2 ** (32 - shift) - 1))


def _mix(z: torch.Tensor) -> torch.Tensor:
    # 64-bit integers wrap; the masks turn torch's arithmetic shifts into logical ones.
    z = (z ^ ((z >> 30) & (2**34 - 1))) * -0x40A7B892E31B1A47
    z = (z ^ ((z >> 27) & (2**37 - 1))) * -0x6B2FB644ECCEEE15
    return z ^ ((z >> 31) & (2**33 - 1))
