"""Random streams: named, independent, the same everywhere."""

from __future__ import annotations

import pytest
import torch

from robustsuite import seeding
from robustsuite.errors import InvalidInput


def test_the_same_path_gives_the_same_stream() -> None:
    one, other = (torch.rand(5, generator=seeding.generator(3, "vision", "init")) for _ in range(2))
    assert torch.equal(one, other)
    first, second = (seeding.numpy_generator(3, "vision", 1).random(5) for _ in range(2))
    assert (first == second).all()


def test_values_are_those_of_the_first_release() -> None:
    """Runs stay reproducible across versions."""
    assert seeding.derive(0) == 395060168
    assert seeding.derive(0, "vision", "init") == 1346051282


def test_paths_give_different_streams() -> None:
    paths = [(), ("a",), ("b",), ("a", "b"), ("ab",), ("a", 1), ("a", "1"), (1,), ("1",)]
    seeds = {seeding.derive(seed, *path) for seed in range(50) for path in paths}
    assert len(seeds) == 50 * len(paths)
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_negative_seed() -> None:
    with pytest.raises(InvalidInput, match=r"seed is -1; expected an integer in \[0, "):
        seeding.derive(-1)


def test_global_state_is_untouched() -> None:
    state = torch.get_rng_state()
    seeding.generator(0, "x")
    seeding.uniform(torch.arange(3), 4)
    seeding.example_seeds(3, generator=seeding.generator(0))
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_belongs_to_its_example() -> None:
    seeds = seeding.example_seeds(6, generator=seeding.generator(0, "noise"))
    assert len(set(seeds.tolist())) == 6
    noise = seeding.uniform(seeds, 10)
    assert torch.equal(seeding.uniform(seeds[[4, 1]], 10), noise[[4, 1]])
    assert torch.equal(seeding.uniform(seeds, 4), noise[:, :4])
    assert not torch.equal(seeding.uniform(seeds, 10, stream=1), noise)


def test_noise_is_uniform_and_uncorrelated() -> None:
    noise = seeding.uniform(torch.arange(2000), 50)
    assert noise.dtype == torch.float64
    assert bool(((noise > 0) & (noise < 1)).all())
    assert float(noise.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(noise.var()) == pytest.approx(1 / 12, abs=0.002)
    centred = noise - 0.5
    for one, other in ((centred[1:], centred[:-1]), (centred[:, 1:], centred[:, :-1])):
        assert abs(float((one * other).mean()) * 12) < 0.01
    counts = torch.histc(noise.flatten(), 20, 0, 1)
    assert float((counts - 5000).abs().max()) < 350
