"""The benchmark of this machine: how long the bound methods take, and how wide their bounds are, per net and batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from rich.table import Table
from torch import Tensor, nn

from robustsuite import bounds, seeding
from robustsuite.arguments import MAX_SEED, check_number, check_numbers
from robustsuite.bounds import Bounds
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Linf
from robustsuite.runs.run import Listener, ProgressBar, ProgressEvent, silent

EPS = 0.01
_LARGEST = 1_000_000  # examples in a batch, whose inputs alone take gigabytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One method on one net and batch.

    Args:
        net: its name.
        method: its name.
        batch: examples at once.
        seconds: of the fastest of the repeats.
        width: mean of upper - lower over the examples and logits.
    """

    net: str
    method: str
    batch: int
    seconds: float
    width: float


def nets(seed: int) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Give the benchmark's nets with the shape of one example, their weights drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeding.derive(seed, "benchmark", "nets"))
        return {
            "MLP 784-256x3-10": (_mlp(), (784,)),
            "conv net 28x28": (_conv_net(1, 7), (1, 28, 28)),
            "conv net 32x32": (_conv_net(3, 8), (3, 32, 32)),
        }


def run(
    *, device: str, seed: int, batches: Sequence[int], repeats: int, listener: Listener = silent
) -> list[Timing]:
    """Measure every method on every net and batch, under Linf perturbations of radius `EPS`.

    Raises:
        InvalidInput: a batch size outside of [1, 1,000,000], or a number of repeats below 1.
    """
    check_number("repeats", repeats, integer=True, least=1)
    check_number("seed", seed, integer=True, least=0, most=MAX_SEED)
    if not batches:
        raise InvalidInput("batches is empty; expected one batch size or more, as in: --batches 1 32")
    check_numbers("batches", batches, integer=True, least=1, most=_LARGEST)
    methods: dict[str, Callable[..., Bounds]] = {
        "IBP": bounds.ibp,
        "CROWN-IBP": bounds.crown_ibp,
        "CROWN": bounds.crown,
    }
    chosen = nets(seed)
    event = ProgressEvent(
        run="bench", description="measuring", done=0, total=len(chosen) * len(batches) * len(methods)
    )
    progress, timings = ProgressBar(event, listener), list[Timing]()
    for name, (model, shape) in chosen.items():
        model = model.to(device).eval()
        for batch in batches:
            stream = seeding.generator(seed, "benchmark", name, batch)
            x = torch.rand((batch, *shape), generator=stream).to(device)
            net, region = bounds.trace(model, x), Linf(EPS, clip=(0, 1)).around(x)
            for title, method in methods.items():
                with torch.no_grad():
                    seconds, found = _fastest(lambda: method(net, region), repeats, x)  # noqa: B023  called at once
                width = float((found.upper - found.lower).mean())
                timings.append(Timing(net=name, method=title, batch=batch, seconds=seconds, width=width))
                progress.advance()
    return timings


def table(timings: Sequence[Timing]) -> Table:
    """Give the measurements as a table."""
    drawn = Table(
        box=None,
        title=f"Bounds of all logits under Linf({EPS}): seconds and mean width",
        title_style="bold",
        title_justify="left",
        pad_edge=False,
    )
    for title in ("net", "batch", "method"):
        drawn.add_column(title, justify="right" if title == "batch" else "left")
    for title in ("seconds", "examples/s", "mean width"):
        drawn.add_column(title, justify="right")
    previous: tuple[str, int] | None = None
    for timing in timings:
        place = (timing.net, timing.batch)
        same, previous = place == previous, place
        drawn.add_row(
            "" if same else timing.net,
            "" if same else str(timing.batch),
            timing.method,
            f"{timing.seconds:.4f}",
            f"{timing.batch / timing.seconds:.0f}",
            f"{timing.width:.4f}",
        )
    return drawn


def _fastest(call: Callable[[], Bounds], repeats: int, x: Tensor) -> tuple[float, Bounds]:
    found = call()  # the first call also pays for what is made once
    times = []
    for _ in range(repeats):
        _wait(x)
        begun = time.perf_counter()
        found = call()
        _wait(x)
        times.append(time.perf_counter() - begun)
    return min(times), found


def _wait(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)


def _mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
    )  # fmt: skip


def _conv_net(channels: int, side: int) -> nn.Module:
    """Give four layers: two convolutions that halve the side, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * side * side, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )
