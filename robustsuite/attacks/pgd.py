"""PGD: projected gradient ascent on a loss inside a region."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from robustsuite import seeding
from robustsuite.arguments import check_callable, check_fields, check_flags
from robustsuite.attacks import losses, step_rules
from robustsuite.attacks.criteria import Criterion, Misclassification, check_parts
from robustsuite.attacks.driver import AttackResult, Model, Search, checked_region, frozen_parameters
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation


@dataclass(frozen=True, slots=True, kw_only=True)
class PGD:
    """Projected gradient descent with restarts. Source: Madry et al. 2018, section 2.1.

    Each example leaves the batch as soon as it is adversarial. The clean input is tried first; the random starts
    belong to the examples, so that the result does not depend on how examples are batched.

    Args:
        steps: gradient steps per restart, >= 1.
        step_size: in units of the region's radius, > 0; None gives 2.5 / steps.
        step_rule: factor on the step size over the run, from `robustsuite.attacks.step_rules`.
        restarts: runs from new starts for the examples still standing, >= 1.
        random_start: begin at a uniform point of the region; False begins at the clean input (one restart).
        loss: what to maximise, from `robustsuite.attacks.losses` or any (outputs, y) -> (batch,).
        criterion: what counts as adversarial: `Misclassification()` or `Targeted(labels)`.

    Raises:
        InvalidInput: a hyper-parameter out of its range.
    """

    steps: int = 20
    step_size: float | None = None
    step_rule: step_rules.StepRule = step_rules.constant
    restarts: int = 1
    random_start: bool = True
    loss: losses.Loss = losses.cross_entropy
    criterion: Criterion = Misclassification()

    def __post_init__(self) -> None:
        check_fields(self, "steps", "restarts", integer=True, least=1)
        check_fields(self, "step_size", above=0, optional=True)
        check_flags(self, "random_start")
        check_callable(self.step_rule, "step_rule", "a function from robustsuite.attacks.step_rules")
        check_parts(self.loss, self.criterion)
        if self.restarts > 1 and not self.random_start:
            raise InvalidInput(
                f"restarts is {self.restarts} with random_start=False; every restart would be the same: "
                "use restarts=1 or random_start=True"
            )

    def __call__(
        self,
        model: Model,
        x: Float[Tensor, "batch *input"],
        y: Int[Tensor, " batch"],
        perturbation: Perturbation,
        *,
        generator: torch.Generator | None = None,
    ) -> AttackResult:
        region = checked_region(model, x, perturbation)
        step_size = 2.5 / self.steps if self.step_size is None else self.step_size
        seeds = seeding.example_seeds(len(x), generator=generator).to(x.device)
        with frozen_parameters(model):
            search = Search(model, region.center, y, region, self.criterion)
            search.try_inputs(search.active(), region.center, self.loss)
            for restart in range(self.restarts):
                index = search.active()
                inside = region.select(index)
                point = inside.sample_seeded(seeds[index] + restart) if self.random_start else inside.center
                for step in range(self.steps):
                    if len(index) == 0:
                        return search.result()
                    gradient = search.gradient(index, point, self.loss)
                    size = step_size * self.step_rule(step / self.steps)
                    point = inside.project(point + size * inside.ascent(gradient))
                    standing = ~search.success[index]
                    index, point, inside = index[standing], point[standing], inside.select(standing)
                if len(index):
                    search.try_inputs(index, point, self.loss)
        return search.result()
