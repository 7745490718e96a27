"""Which examples stand at which radius: all radii of a list in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robustsuite import seeding
from robustsuite.arguments import check_kind
from robustsuite.attacks.attack import Attack, checked_region
from robustsuite.attacks.criteria import Criterion, sought
from robustsuite.attacks.keepers import Nearest
from robustsuite.attacks.models import Model
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import L1, L2, Linf, Perturbation


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What an attack left standing.

    Attributes:
        perturbations: the threat models, in the order given.
        standing: whether an example was not broken within a threat model, shape (perturbations, batch).
        queries: rows of each example that the model was run on, over all threat models, shape (batch,).
        gradients: rows of each example that were differentiated.
    """

    perturbations: tuple[Perturbation, ...]
    standing: Bool[Tensor, "perturbations batch"]
    queries: Int[Tensor, " batch"]
    gradients: Int[Tensor, " batch"]


def curve(
    model: Model,
    x: Float[Tensor, "batch *input"],
    y: Tensor | Criterion,
    perturbations: Sequence[Perturbation],
    attack: Attack,
    *,
    generator: torch.Generator | seeding.ExampleSeeds | None = None,
) -> Curve:
    """Attack a batch within several threat models.

    An example that was broken within one counts as broken within all others that hold the adversarial example. An
    attack that looks for the nearest success is called once, with an endless radius, where all threat models are balls
    of one norm and one range; any other attack within each threat model, on what those before left standing.

    Args:
        model, x, y, generator: as for the attack.
        perturbations: threat models, from small to large for the fewest queries.
        attack: how.

    Raises:
        InvalidInput: no threat models, or what the attack refuses.
    """
    expected = "a list of threat models such as [Linf(2 / 255), Linf(8 / 255)]"
    check_kind(perturbations, (list, tuple), "perturbations", expected)
    if not perturbations:
        raise InvalidInput(f"perturbations is empty; expected {expected}")
    regions = [checked_region(model, x, perturbation) for perturbation in perturbations]
    criterion = sought(y, len(x), x.device)
    seeds = seeding.example_seeds(len(x), generator=generator).to(x.device)
    standing = torch.ones((len(regions), len(x)), dtype=torch.bool, device=x.device)
    queries, gradients = torch.zeros((2, len(x)), dtype=torch.int64, device=x.device)
    endless = _endless(perturbations) if isinstance(attack.keeper, Nearest) else None
    searched = regions if endless is None else [endless.around(x.detach())]
    for number, region in enumerate(searched):
        index = (
            standing[number].nonzero().squeeze(1)
            if endless is None
            else torch.arange(len(x), device=x.device)
        )
        if len(index) == 0:
            continue
        own = seeding.ExampleSeeds(seeding.streamed(seeds[index], number))
        found = attack.within(model, criterion.select(index), region.select(index), generator=own)
        queries[index] += found.queries
        gradients[index] += found.gradients
        for row, other in zip(standing, regions, strict=True):
            inside = other is region or other.select(index).contains(found.adversarial)
            row[index] &= ~(found.success & inside)
    return Curve(perturbations=tuple(perturbations), standing=standing, queries=queries, gradients=gradients)


def _endless(perturbations: Sequence[Perturbation]) -> Perturbation | None:
    """Give the ball that holds all others of a list, where they differ in nothing but their radii; else None."""
    first = perturbations[0]
    if not isinstance(first, Linf | L2 | L1):
        return None
    ball = replace(first, eps=math.inf)
    alike = all(
        isinstance(other, type(first))
        and isinstance(other.eps, float)
        and replace(other, eps=math.inf) == ball
        for other in perturbations
    )
    return ball if alike else None
