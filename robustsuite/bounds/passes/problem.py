"""`Problem`: what every pass over a network is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robustsuite.bounds.passes.analysis import Analysis
from robustsuite.bounds.program import Program
from robustsuite.perturbations import Region

MAX_MEMORY = 2**30


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A network on a batch of regions.

    Attributes:
        program: the network.
        regions: of its inputs.
        analysis: what is known before any bound.
        max_memory: bytes that the coefficients of one part of a pass may take; the specs are split accordingly
            (without a gradient: a gradient keeps everything).
    """

    program: Program
    regions: tuple[Region, ...]
    analysis: Analysis
    max_memory: int = MAX_MEMORY

    @classmethod
    def of(cls, program: Program, regions: Sequence[Region], *, max_memory: int = MAX_MEMORY) -> Problem:
        """Analyse a program on its regions."""
        return cls(program, tuple(regions), Analysis(program, tuple(regions)), max_memory)

    @property
    def batch(self) -> int:
        """Give the number of examples."""
        return len(self.regions[0].center)
