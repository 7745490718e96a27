"""Measure what a step of certified training costs, over a plain training step, beside auto_LiRPA.

On the conv nets of scripts/networks.py, batch 64: a plain step, an IBP step, a CROWN-IBP step with fused loss and one
with a row for each margin; both libraries in one process, their steps in turn, so that a noisy machine disturbs both
alike. Medians of process time, and ratios to the plain step, are printed.

    python scripts/bench_training.py --peer ../auto_LiRPA
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from networks import setup
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import Linf, bounds, seeding

CLASSES = 10


def plain(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Callable[[], Tensor]:
    """Give the loss of plain training."""
    return lambda: functional.cross_entropy(model(x), y)


def ours(
    method: bounds.CrossEntropyMethod, beta: float, *, clean: bool = True
) -> Callable[..., Callable[[], Tensor]]:
    """Give the loss of our certified training: half clean, half robust, or robust alone."""

    def make(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Callable[[], Tensor]:
        net, perturbation = bounds.trace(model, x), Linf(eps)

        def loss() -> Tensor:
            robust = method(net, perturbation.around(x), y, beta=beta).upper.mean()
            return (functional.cross_entropy(model(x), y) + robust) / 2 if clean else robust

        return loss

    return make


def peers(method: str, *, fused: bool = False, clean: bool = True) -> Callable[..., Callable[[], Tensor]]:
    """Give the loss of certified training with auto_LiRPA, as its examples write it."""

    def make(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Callable[[], Tensor]:
        from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm

        ball = PerturbationLpNorm(norm=float("inf"), eps=eps)
        eye = torch.eye(CLASSES)
        rows = eye[y].unsqueeze(1) - eye.unsqueeze(0)
        rows = rows[(~(y.unsqueeze(1) == torch.arange(CLASSES))).unsqueeze(2).expand(-1, -1, CLASSES)]
        rows = rows.view(len(y), CLASSES - 1, CLASSES)
        if fused:

            class Loss(nn.Module):
                def __init__(self) -> None:
                    super().__init__()
                    self.model = model

                def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
                    y = self.model(inputs)
                    logits = y - torch.gather(y, dim=-1, index=labels.unsqueeze(-1))
                    return torch.exp(logits).sum(dim=-1, keepdim=True)

            bounded = BoundedModule(
                Loss(), (torch.zeros_like(x), y), bound_opts={"relu": "same-slope", "loss_fusion": True}
            )

            def fused_loss() -> Tensor:
                natural = functional.cross_entropy(model(x), y)
                data = BoundedTensor(x, ball)
                _, upper = bounded.compute_bounds(
                    x=(data, y), IBP=True, C=None, method="backward", bound_lower=False
                )
                upper = upper + torch.as_tensor(upper < 1e-12, dtype=upper.dtype) * 1e-12
                return (natural + torch.log(upper).mean()) / 2

            return fused_loss
        bounded = BoundedModule(model, torch.zeros_like(x))

        def loss() -> Tensor:
            data = BoundedTensor(x, ball)
            natural = functional.cross_entropy(bounded(data), y)
            lower, _ = bounded.compute_bounds(C=rows, method=method, bound_upper=False)
            padded = torch.cat([torch.zeros(len(lower), 1), lower], 1)
            robust = functional.cross_entropy(-padded, torch.zeros(len(lower), dtype=torch.long))
            return (natural + robust) / 2 if clean else robust

        return loss

    return make


def stepper(make: Callable[..., Callable[[], Tensor]], network: str, batch: int) -> Callable[[], None]:
    """Give a training step on a model of its own."""
    model, x, eps = setup(network, batch)
    model.train()
    y = torch.randint(CLASSES, (batch,), generator=seeding.generator(0, "labels"))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    loss = make(model, x, y, eps)

    def step() -> None:
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()

    return step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=["conv28", "conv32"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--peer", type=Path, help="a checkout of auto_LiRPA")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    console = Console()
    kinds: dict[str, Callable[..., Callable[[], Tensor]]] = {
        "plain": plain,
        "robustsuite IBP": ours(bounds.margin_cross_entropy, 0.0),
        "robustsuite IBP, robust loss alone": ours(bounds.margin_cross_entropy, 0.0, clean=False),
        "robustsuite CROWN-IBP, fused": ours(bounds.fused_cross_entropy, 1.0),
        "robustsuite CROWN-IBP": ours(bounds.margin_cross_entropy, 1.0),
    }
    if options.peer and (options.peer / "auto_LiRPA").is_dir():
        sys.path.insert(0, str(options.peer.resolve()))
        kinds |= {
            "auto_LiRPA IBP": peers("IBP"),
            "auto_LiRPA IBP, robust loss alone": peers("IBP", clean=False),
            "auto_LiRPA CROWN-IBP, fused": peers("backward", fused=True),
            "auto_LiRPA CROWN-IBP": peers("CROWN-IBP"),
        }
    else:
        console.print("auto_LiRPA: skipped (give a checkout with --peer PATH)")
    table = Table(
        title=f"a training step, batch {options.batch}, {torch.get_num_threads()} threads, process time"
    )
    for column in ("network", "step", "ms", "over plain"):
        table.add_column(column, justify="left" if column in ("network", "step") else "right")
    for network in options.networks:
        steps: dict[str, Callable[[], None]] = {}
        for name, make in kinds.items():
            try:
                steps[name] = stepper(make, network, options.batch)
                steps[name]()
            except Exception as error:  # noqa: BLE001 (a peer that fails is named, and the others go on)
                steps.pop(name, None)
                console.print(f"{network}, {name}: {type(error).__name__}: {str(error)[:100]}")
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(options.steps):
            for name, step in steps.items():
                start = time.process_time()
                step()
                seconds[name].append(time.process_time() - start)
        base = median(seconds["plain"])
        for name, values in seconds.items():
            table.add_row(network, name, f"{1e3 * median(values):.1f}", f"{median(values) / base:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
