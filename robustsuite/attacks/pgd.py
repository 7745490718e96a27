"""PGD: projected gradient ascent on a loss inside a region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from robustsuite.arguments import check_callable, check_fields, check_flags
from robustsuite.attacks import losses, step_rules
from robustsuite.attacks.access import Access
from robustsuite.attacks.attack import Attack
from robustsuite.attacks.criteria import check_loss
from robustsuite.attacks.search import Search
from robustsuite.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class PGD(Attack):
    """Projected gradient descent with restarts. Source: Madry et al. 2018, section 2.1.

    Each example leaves the batch as soon as it is adversarial. The clean input is tried first; the random starts
    belong to the examples, so that the result does not depend on how examples are batched.

    Args:
        steps: gradient steps per restart, >= 1.
        step_size: in units of the region's radius, > 0; None gives 2.5 / steps.
        step_rule: factor on the step size over the run, from `robustsuite.attacks.step_rules`.
        restarts: runs from new starts for the examples still standing, >= 1.
        random_start: begin at a uniform point of the region; False begins at the clean input (one restart).
        loss: what to raise, from `robustsuite.attacks.losses` or any (outputs, labels) -> (rows,); None: the
            criterion's score, which for labels is the margin.

    Raises:
        InvalidInput: a hyper-parameter out of its range.
    """

    access: ClassVar[Access] = Access.GRADIENTS

    steps: int = 20
    step_size: float | None = None
    step_rule: step_rules.StepRule = step_rules.constant
    restarts: int = 1
    random_start: bool = True
    loss: losses.RowLoss | None = None

    def __post_init__(self) -> None:
        check_fields(self, "steps", "restarts", integer=True, least=1)
        check_fields(self, "step_size", above=0, optional=True)
        check_flags(self, "random_start")
        check_callable(self.step_rule, "step_rule", "a function from robustsuite.attacks.step_rules")
        check_loss(self.loss)
        if self.restarts > 1 and not self.random_start:
            raise InvalidInput(
                f"restarts is {self.restarts} with random_start=False; every restart would be the same: "
                "use restarts=1 or random_start=True"
            )

    def run(self, search: Search) -> None:
        search = search.steered(self.loss)
        step_size = 2.5 / self.steps if self.step_size is None else self.step_size
        if self.random_start:  # else the first gradient is taken at the clean input
            search.begin()
        for restart in range(self.restarts):
            index = search.active()
            inside = search.region.select(index)
            point = (
                inside.sample_seeded(search.seeds[index] + restart) if self.random_start else inside.center
            )
            for step in range(self.steps):
                if len(index) == 0:
                    return
                found = search.gradient(index, point)
                size = step_size * self.step_rule(step / self.steps)
                point = search.climbed(inside, index, point, found, size)
                standing = search.open(index)
                if not bool(standing.all()):
                    index, point, inside = index[standing], point[standing], inside.select(standing)
            search.scores(index, point)
