"""The command `robustsuite bench`."""

from __future__ import annotations

from robustsuite import interruption
from robustsuite.arguments import check_device


def bench(
    *,
    device: str = "cpu",
    seed: int = 0,
    batches: tuple[int, ...] = (1, 32),
    repeats: int = 3,
) -> int:
    """Time the bound methods on this machine: seconds and mean width of the bounds, per net and batch.

    Example: robustsuite bench --batches 1 32 256

    Args:
        device: "cpu", "cuda", "cuda:1" ...
        seed: of the nets' weights and the inputs.
        batches: batch sizes, each >= 1.
        repeats: measurements of each, of which the fastest counts.
    """
    with interruption.importing():
        from robustsuite.commands import benchmark, console

        check_device(device)
    with console.drawing() as listener:
        rows = benchmark.run(device=device, seed=seed, batches=batches, repeats=repeats, listener=listener)
    console.out.print(benchmark.table(rows))
    return 0
