"""What is known of a program's steps on given regions before any bound: which are exact by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from robustsuite.bounds.operations import Affine, Input, Nonlinear
from robustsuite.bounds.program import Program, Structure
from robustsuite.perturbations import Region


@dataclass(frozen=True, eq=False)
class Analysis:
    """Questions about a program on its regions, each answered once.

    Attributes:
        program, regions: the network and its inputs.
    """

    program: Program
    regions: tuple[Region, ...]

    @cached_property
    def structure(self) -> Structure:
        """Give what follows from the steps alone."""
        return self.program.structure

    @cached_property
    def frontier(self) -> tuple[bool, ...]:
        """Say which steps are affine in a region that is not a box, and feed a nonlinearity or the output.

        For them the dual norm gives the exact interval, which the interval hull of the region would widen. Where each
        entry is one of the input's (a transposed kernel, say) the hull loses nothing.
        """
        steps, output = self.program.steps, self.program.output
        if all(region.is_box for region in self.regions):
            return (False,) * len(steps)
        fixed, moved, users = self.fixed, self.structure.moved, self.structure.users
        affine = self.affine
        return tuple(
            affine[i]
            and not (moved[i] or fixed[i])
            and (i == output or any(not affine[user] for user, _ in users[i]))
            for i in range(len(steps))
        )

    @cached_property
    def fixed(self) -> tuple[bool, ...]:
        """Say which steps have one value only, because an input among several is not perturbed."""
        fixed: list[bool] = []
        for step in self.program.steps:
            if isinstance(step.op, Input):
                region = self.regions[step.op.number]
                # A wait for the device, for each input where there are several.
                fixed.append(len(self.regions) > 1 and torch.equal(region.lower, region.upper))
            else:
                fixed.append(all(fixed[i] for i in step.inputs))
        return tuple(fixed)

    @cached_property
    def affine(self) -> tuple[bool, ...]:
        """Say which steps are affine functions of the inputs that are not fixed."""
        affine: list[bool] = []
        for index, step in enumerate(self.program.steps):
            free = [i for i in step.inputs if not self.fixed[i]]
            # A product with a fixed factor is linear, and so are its planes.
            linear = isinstance(step.op, Input | Affine) or (
                isinstance(step.op, Nonlinear) and step.op.is_multilinear and len(free) == 1
            )
            affine.append(self.fixed[index] or (linear and all(affine[i] for i in free)))
        return tuple(affine)

    @cached_property
    def exact(self) -> tuple[bool, ...]:
        """Say for which steps IBP is exact already, so that no other method can improve on it."""
        exact, apart = [], []
        frontier, moved = self.frontier, self.structure.moved
        for index, step in enumerate(self.program.steps):
            if isinstance(step.op, Input):
                exact.append(True)
                apart.append(self.regions[step.op.number].is_box)
            elif isinstance(step.op, Affine) and len(step.inputs) == 1:
                source = step.inputs[0]
                exact.append(frontier[index] or moved[index] or apart[source])
                apart.append(apart[source] and step.op.keeps_features_apart())
            else:
                exact.append(frontier[index])
                apart.append(False)
        return tuple(exact)
