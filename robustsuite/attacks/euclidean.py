"""What attacks share that look for the nearest success in L2."""

from __future__ import annotations

import torch

from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Ball, Region


def ambient(region: Region, who: str) -> Ball:
    """Give the region without its radius: all that the range of valid values leaves.

    Raises:
        InvalidInput: not an L2 ball.
    """
    if not isinstance(region, Ball) or region.p != 2:
        kind = f"an L{region.p:g} ball" if isinstance(region, Ball) else f"a {type(region).__name__}"
        raise InvalidInput(
            f"{who} looks for the nearest success in L2, and the region is {kind}; expected L2, such as "
            "L2(math.inf, clip=(0, 1))"
        )
    return region.resized(torch.full_like(region.radius, torch.inf))
