"""Measure our bounds beside those of auto_LiRPA and bound_propagation: time, peak memory, mean width.

Times are CPU seconds of one thread (--threads), which other work on the machine disturbs least. Every measurement
runs in a process of its own (so that its peak memory is its own, and a library that runs out of memory or time takes
nothing else down), the libraries one after the other on the same network, weights, inputs and region. An older checkout of
ours (--before) is one more library. A table and the ratios to ours are printed.

    python scripts/bench_bounds.py --batches 1 32 --peer ../auto_LiRPA
    python scripts/bench_bounds.py --batches 1 32 --before ../older-checkout --libraries

bound_propagation comes from PyPI (the extra `peers`). auto_LiRPA on PyPI (0.3) asks for torch < 1.13, so give a
checkout of its repository with --peer; without one it is left out by name.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from networks import CASES, setup
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

METHODS = ("ibp", "crown_ibp", "crown", "alpha_crown")
LIBRARIES = ("robustsuite", "auto_LiRPA", "bound_propagation")
BEFORE = "before"  # an older checkout of ours
DOMAINS = ("envs", "nlp", "vision")
ALPHA_STEPS = 20


def ours(model: nn.Module, x: Tensor, eps: float, method: str) -> Callable[[], tuple[Tensor, Tensor]]:
    """Give a call of our method."""
    from robustsuite import Linf, bounds

    net, region = bounds.trace(model, x[:1]), Linf(eps).around(x)
    function: Callable[..., bounds.Bounds] = getattr(bounds, method)
    extra: dict[str, Any] = {"steps": ALPHA_STEPS} if method == "alpha_crown" else {}

    def run() -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            result = function(net, region, **extra)
        return result.lower, result.upper

    return run


def auto_lirpa(model: nn.Module, x: Tensor, eps: float, method: str) -> Callable[[], tuple[Tensor, Tensor]]:
    """Give a call of auto_LiRPA's method."""
    from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm

    name = {"ibp": "IBP", "crown_ibp": "CROWN-IBP", "crown": "CROWN", "alpha_crown": "CROWN-Optimized"}[
        method
    ]
    options = {"optimize_bound_args": {"iteration": ALPHA_STEPS, "lr_alpha": 0.1}}
    bounded = BoundedModule(model, torch.zeros_like(x), bound_opts=options)
    tensor = BoundedTensor(x, PerturbationLpNorm(norm=float("inf"), eps=eps))

    def run() -> tuple[Tensor, Tensor]:
        if method == "alpha_crown":
            lower, upper = bounded.compute_bounds(x=(tensor,), method=name)
        else:
            with torch.no_grad():
                lower, upper = bounded.compute_bounds(x=(tensor,), method=name)
        return lower.detach(), upper.detach()

    return run


def bound_propagation(
    model: nn.Module, x: Tensor, eps: float, method: str
) -> Callable[[], tuple[Tensor, Tensor]]:
    """Give a call of bound_propagation's method; it has MLPs with a flat input only, and no alpha-CROWN."""
    from bound_propagation import BoundModelFactory, HyperRectangle

    if any(isinstance(layer, nn.Conv2d) for layer in model) or method == "alpha_crown":  # type: ignore[attr-defined]
        raise SystemExit("not supported by bound_propagation")
    flat = nn.Sequential(*(layer for layer in model if not isinstance(layer, nn.Flatten)))  # type: ignore[attr-defined]
    bounded = BoundModelFactory().build(flat)
    region = HyperRectangle.from_eps(x.flatten(1), eps)

    def run() -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            result = getattr(bounded, method)(region)
            result = result if method == "ibp" else result.concretize()
        return result.lower, result.upper

    return run


def measure(library: str, network: str, method: str, batch: int, seconds: float) -> dict[str, float]:
    """Time one method in this process: the median CPU time of repeated calls after a first one."""
    warnings.simplefilter("ignore")
    model, x, eps = setup(network, batch)
    make = {
        "robustsuite": ours,
        BEFORE: ours,
        "auto_LiRPA": auto_lirpa,
        "bound_propagation": bound_propagation,
    }[library]
    call = make(model, x, eps, method)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lower, upper = call()
    times: list[float] = []
    gc.collect()
    while not times or sum(times) < seconds and len(times) < 50:
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": sorted(times)[len(times) // 2],
        "mib": max(0, peak - before) / 1024,
        "width": float((upper - lower).mean()),
        "loosest": float((upper - lower).max()),
    }


def linked(checkout: Path, folder: Path) -> None:
    """Fill a folder from which the packages of a checkout can be imported under their names."""
    package = folder / "robustsuite"
    package.mkdir()
    parts = [*(checkout / "robustsuite").iterdir(), *(checkout / name for name in DOMAINS)]
    for part in parts:
        if part.exists():
            (package / part.name).symlink_to(part.resolve())


def in_process(options: argparse.Namespace, library: str, network: str, method: str, batch: int) -> Any:
    """Run `measure` in a new process with a limit on time and memory; a text says why nothing came back."""
    command = [sys.executable, __file__, "--measure", library, network, method, str(batch)]
    command += ["--seconds", str(options.seconds)]
    environment = dict(os.environ) | {"OMP_NUM_THREADS": str(options.threads)}
    if library == "auto_LiRPA":
        environment["PYTHONPATH"] = str(Path(options.peer).resolve())
    if library == BEFORE:
        environment["PYTHONPATH"] = options.links

    def limit() -> None:
        size = int(options.memory * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))

    try:
        done = subprocess.run(  # noqa: PLW1510 (the code is looked at below)
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=options.timeout,
            preexec_fn=limit,
        )
    except subprocess.TimeoutExpired:
        return f"over {options.timeout:.0f} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["failed"]
        out_of_memory = any("memory" in line.lower() for line in lines[-6:])
        return f"over {options.memory:.0f} GiB" if out_of_memory else lines[-1][:60]
    return json.loads(done.stdout.strip().splitlines()[-1])


def libraries(options: argparse.Namespace, console: Console) -> Iterator[str]:
    """Name the libraries that can run here, and say which cannot."""
    yield "robustsuite"
    if options.before:
        yield BEFORE
    if "auto_LiRPA" not in options.libraries:
        pass
    elif options.peer and (Path(options.peer) / "auto_LiRPA").is_dir():
        yield "auto_LiRPA"
    else:
        console.print("auto_LiRPA: skipped (give a checkout with --peer PATH)")
    if "bound_propagation" not in options.libraries:
        pass
    elif importlib.util.find_spec("bound_propagation"):
        yield "bound_propagation"
    else:
        console.print("bound_propagation: skipped (pip install bound-propagation)")


def compare(options: argparse.Namespace) -> None:
    """Measure all combinations and print the table with ratios to ours."""
    console = Console()
    names = list(libraries(options, console))
    table = Table(title=f"bounds, Linf, {options.threads} threads, median CPU time of repeated calls")
    for column in ("network", "batch", "method", "library", "time s", "memory MiB", "mean width"):
        table.add_column(column)
    for column in ("time / ours", "memory / ours", "width / ours"):
        table.add_column(column, justify="right")
    speedups: dict[str, list[float]] = {name: [] for name in names}
    for network in options.networks:
        for batch in options.batches:
            for method in options.methods:
                base: Any = None
                for name in names:
                    result = in_process(options, name, network, method, batch)
                    if name == "robustsuite":
                        base = result
                    if isinstance(result, str):
                        table.add_row(network, str(batch), method, name, result)
                        continue
                    row = [network, str(batch), method, name]
                    row += [f"{result['seconds']:.4f}", f"{result['mib']:.0f}", f"{result['width']:.5g}"]
                    if isinstance(base, dict):
                        ratio = result["seconds"] / base["seconds"]
                        speedups[name].append(ratio)
                        row += [f"{ratio:.2f}", f"{(result['mib'] + 1) / (base['mib'] + 1):.2f}"]
                        row += [f"{result['width'] / base['width']:.4f}"]
                    table.add_row(*row)
                    print(" ".join(row), file=sys.stderr, flush=True)
    console.print(table)
    for name in names[1:]:
        if speedups[name]:
            mean = math.exp(sum(map(math.log, speedups[name])) / len(speedups[name]))
            worst = min(speedups[name])
            console.print(
                f"{name}: {mean:.2f} times our time in the geometric mean of {len(speedups[name])} cases "
                f"(least {worst:.2f})"
            )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["ibp", "crown_ibp", "crown"])
    parser.add_argument("--before", type=Path, help="an older checkout of this repository")
    parser.add_argument("--libraries", nargs="*", choices=LIBRARIES[1:], default=list(LIBRARIES[1:]))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32, 256])
    parser.add_argument("--peer", help="a checkout of auto_LiRPA")
    parser.add_argument("--seconds", type=float, default=2.0, help="to spend on repeated calls, per case")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds per case")
    parser.add_argument("--memory", type=float, default=12.0, help="GiB of address space per case")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", nargs=4, metavar=("LIBRARY", "NETWORK", "METHOD", "BATCH"))
    options = parser.parse_args()
    if options.measure:
        library, network, method, batch = options.measure
        print(json.dumps(measure(library, network, method, int(batch), options.seconds)))
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.before:
            linked(options.before, Path(folder))
        options.links = folder
        compare(options)


if __name__ == "__main__":
    main()
