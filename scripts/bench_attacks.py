"""Measure attacks: robust accuracy or median distance, rows per image and CPU time, beside other libraries.

On a small conv net, trained adversarially on the first CIFAR-10 images (or read from --net, where it is kept): fixed
radius attacks at 8/255, attacks for the nearest success in L2, and what the noise of random starts costs. One thread;
process time. A peer that is not installed is named and left out.

    python scripts/bench_attacks.py --images 512 --peers

Peers import packages that their attacks do not need (drawing, model zoos); where these are not installed, empty ones stand in.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch
from networks import conv
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import L2, Linf, attacks, seeding
from robustsuite.attacks import DDN, FGSM, PGD, Attack, Boundary, HighestLoss, InTurn, RandomSearch
from robustsuite.perturbations import Perturbation
from robustsuite.vision import load_images

EPS = 8 / 255
NEAREST = L2(math.inf, clip=(0, 1))


class Counting(nn.Module):
    """Counts the rows that a model is run on."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.rows = model, 0

    def forward(self, x: Tensor) -> Tensor:
        self.rows += len(x)
        outputs: Tensor = self.model(x)
        return outputs


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    name: str
    figure: str
    rows: float
    seconds: float


def network(path: Path | None, *, images: int = 5000, epochs: int = 12) -> nn.Module:
    """Give the adversarially trained net; it is read from `path`, or trained and kept there."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = conv(3, 32)
    if path is not None and path.is_file():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    train = load_images("cifar10", "train", first=images)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    attack, noise = PGD(steps=2, step_size=1.0, loss=attacks.losses.cross_entropy), seeding.generator(0)
    for epoch in range(epochs):
        for part in torch.randperm(len(train.x), generator=noise).split(64):
            x, y = train.x[part], train.y[part]
            near = Linf(EPS * min(1.0, (epoch + 1) / 4), clip=(0, 1))
            x = attack(model, x, HighestLoss(y), near, generator=noise).adversarial
            optimiser.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimiser.step()
    if path is not None:
        torch.save(model.state_dict(), path)
    return model.eval()


def ours(name: str, attack: Attack, model: nn.Module, x: Tensor, y: Tensor, near: Perturbation) -> Row:
    """Measure one of our attacks."""
    counting = Counting(model)
    started = time.process_time()
    found = attack(counting, x, y, near, generator=seeding.generator(0))
    seconds = time.process_time() - started
    if near == NEAREST:
        distance = torch.where(found.success, found.distance, torch.inf)
        figure = f"{float(distance.median()):.4f}"
    else:
        figure = f"{float(1 - found.success.double().mean()):.4f}"
    return Row(name, figure, counting.rows / len(x), seconds)


def peer(
    name: str, call: Callable[[nn.Module], Tensor], model: nn.Module, x: Tensor, y: Tensor, *, nearest: bool
) -> Row:
    """Measure another library's attack, which gives adversarial examples."""
    counting = Counting(model)
    started = time.process_time()
    shown = call(counting)
    seconds = time.process_time() - started
    with torch.no_grad():
        wrong = model(shown).argmax(1) != y
    distance = (shown - x).flatten(1).norm(dim=1)
    figure = (
        float(torch.where(wrong, distance, torch.inf).median())
        if nearest
        else float(1 - wrong.double().mean())
    )
    return Row(name, f"{figure:.4f}", counting.rows / len(x), seconds)


def stand_in(*packages: str) -> None:
    """Put empty packages in the place of those that are not installed."""
    for package in packages:
        if package not in sys.modules and find_spec(package) is None:
            sys.modules[package] = MagicMock(__spec__=None)


def fixed_peers(model: nn.Module, x: Tensor, y: Tensor) -> list[Row]:
    """Measure FGSM and PGD-20 of other libraries, with the step size of ours."""
    rows: list[Row] = []

    def add(name: str, call: Callable[[nn.Module], Tensor]) -> None:
        rows.append(peer(name, call, model, x, y, nearest=False))

    if find_spec("torchattacks"):
        import torchattacks

        add("torchattacks FGSM", lambda m: torchattacks.FGSM(m, eps=EPS)(x, y))
        add("torchattacks PGD-20", lambda m: torchattacks.PGD(m, eps=EPS, alpha=EPS / 8, steps=20)(x, y))
    if find_spec("foolbox"):
        import foolbox

        def through_foolbox(attack: Any) -> Callable[[nn.Module], Tensor]:
            def shown(m: nn.Module) -> Tensor:
                found: Tensor = attack(foolbox.PyTorchModel(m.eval(), bounds=(0, 1)), x, y, epsilons=EPS)[1]
                return found

            return shown

        add("foolbox FGSM", through_foolbox(foolbox.attacks.FGSM()))
        add("foolbox LinfPGD-20", through_foolbox(foolbox.attacks.LinfPGD(steps=20, rel_stepsize=1 / 8)))
    if find_spec("adv_lib"):
        from adv_lib.attacks import pgd_linf

        add("adv-lib PGD-20", lambda m: pgd_linf(m, x, y, ε=EPS, steps=20, relative_step_size=1 / 8))
    return rows


def nearest_peers(model: nn.Module, x: Tensor, y: Tensor) -> list[Row]:
    """Measure DDN of other libraries."""
    rows: list[Row] = []
    if find_spec("adv_lib"):
        from adv_lib.attacks import ddn

        for steps in (20, 100):
            call = partial(ddn, inputs=x, labels=y, steps=steps, levels=None)
            rows.append(peer(f"adv-lib DDN-{steps}", call, model, x, y, nearest=True))
    if find_spec("foolbox"):
        import foolbox

        def through_foolbox(m: nn.Module) -> Tensor:
            attack = foolbox.attacks.DDNAttack(steps=100)
            found: Tensor = attack(foolbox.PyTorchModel(m.eval(), bounds=(0, 1)), x, y, epsilons=None)[1]
            return found

        rows.append(peer("foolbox DDN-100", through_foolbox, model, x, y, nearest=True))
    return rows


def show(console: Console, title: str, figure: str, rows: list[Row]) -> None:
    """Print a table."""
    table = Table("attack", figure, "rows per image", "CPU seconds", title=title)
    for row in rows:
        table.add_row(row.name, row.figure, f"{row.rows:.1f}", f"{row.seconds:.2f}")
    console.print(table)


def noise_share(model: nn.Module, x: Tensor, y: Tensor, console: Console) -> None:
    """Print what the random starts of one restart cost, beside one gradient of the batch."""
    seeds = seeding.example_seeds(len(x), generator=seeding.generator(0))
    table = Table(
        "threat", "random start, CPU ms", "rand_like, CPU ms", "one gradient, CPU ms", title="Noise"
    )

    def timed(call: Callable[[], object]) -> str:
        call()
        started = time.process_time()
        for _ in range(5):
            call()
        return f"{(time.process_time() - started) * 200:.1f}"

    def gradient() -> None:
        inputs = x.clone().requires_grad_()
        torch.autograd.grad(functional.cross_entropy(model(inputs), y), inputs)

    for perturbation in (Linf(EPS, clip=(0, 1)), L2(0.5, clip=(0, 1))):
        region = perturbation.around(x)
        table.add_row(
            perturbation.describe(),
            timed(lambda region=region: region.sample_seeded(seeds)),  # type: ignore[misc]
            timed(lambda: torch.rand_like(x)),
            timed(gradient),
        )
    console.print(table)


def by_queries(model: nn.Module, x: Tensor, y: Tensor, console: Console) -> None:
    """Measure attacks by scores and by labels."""
    near = Linf(EPS, clip=(0, 1))
    rows = [
        ours(f"random search, {budget} queries", RandomSearch(max_queries=budget), model, x, y, near)
        for budget in (100, 1000)
    ]
    show(
        console,
        f"Linf 8/255 by scores, {len(x)} images that the net gets right",
        "robust accuracy",
        rows,
    )
    rows = [
        ours(f"boundary, {budget} queries", Boundary(max_queries=budget), model, x, y, NEAREST)
        for budget in (1000, 2500, 10_000)
    ]
    rows.append(ours("DDN-100", DDN(steps=100), model, x, y, NEAREST))
    show(
        console,
        f"Nearest in L2 by labels, {len(x)} images that the net gets right",
        "median distance",
        rows,
    )


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--slow-images", type=int, default=64, help="for attacks by queries")
    parser.add_argument("--net", type=Path, help="file that keeps the trained net")
    parser.add_argument("--peers", action="store_true", help="measure other libraries too")
    parser.add_argument(
        "--short",
        action="store_true",
        help="leave out what takes long: attacks by queries, PGD-100, DDN-1000",
    )
    given = parser.parse_args()
    if given.peers:
        stand_in("git", "requests", "torchvision", "visdom")
    torch.set_num_threads(1)
    console = Console()
    model = network(given.net)
    for p in model.parameters():
        p.requires_grad_(False)
    test = load_images("cifar10", "test", first=given.images)
    x, y = test.x, test.y
    few = slice(0, given.slow_images)
    noise_share(model, x, y, console)
    near = Linf(EPS, clip=(0, 1))
    rows = [
        ours(name, attack, model, x, y, near)
        for name, attack in (
            ("FGSM", FGSM()),
            ("PGD-20", PGD(steps=20)),
            ("PGD-20, cross entropy", PGD(steps=20, loss=attacks.losses.cross_entropy)),
            ("FGSM, then PGD-20", InTurn((FGSM(), PGD(steps=20)))),
            ("PGD-100, five restarts", PGD(steps=100, restarts=5)),
        )[: 4 if given.short else 5]
    ]
    if given.peers:
        rows += fixed_peers(model, x, y)
        absent = [name for name in ("torchattacks", "foolbox", "adv_lib") if not find_spec(name)]
        console.print(f"absent: {', '.join(absent)}" if absent else "all peers are here")
    show(console, f"Linf 8/255, {len(x)} images", "robust accuracy", rows)
    with torch.no_grad():
        right = model(x).argmax(1) == y
    x, y = x[right], y[right]
    rows = [
        ours(f"DDN-{steps}", DDN(steps=steps), model, x, y, NEAREST)
        for steps in ((20, 100) if given.short else (20, 100, 1000))
    ]
    if given.peers:
        rows += nearest_peers(model, x, y)
    show(console, f"Nearest in L2, {len(x)} images that the net gets right", "median distance", rows)
    if not given.short:
        by_queries(model, x[few], y[few], console)


if __name__ == "__main__":
    main()
