"""The command `robustsuite demo`."""

from __future__ import annotations

import os
from pathlib import Path

from robustsuite import interruption
from robustsuite.arguments import check_device


def demo(
    *,
    out: Path = Path("runs/demo"),
    seed: int = 0,
    device: str = "cpu",
    jobs: int | None = None,
    resume: bool = False,
) -> int:
    """Train, attack and certify one small model of each domain, print one table, write one report.

    Takes a few minutes on two cores.

    Example: robustsuite demo --seed 1

    Args:
        out: folder of the demo's runs and of its report.html.
        seed: of everything random.
        device: "cpu", "cuda", "cuda:1" ...
        jobs: runs at a time, >= 1, each on one thread; the number of cores by default.
        resume: continue a demo that was interrupted.
    """
    with interruption.importing():
        from robustsuite.commands import demonstration

        check_device(device)
    return demonstration.run(
        out, seed=seed, device=device, jobs=os.cpu_count() or 1 if jobs is None else jobs, resume=resume
    )
