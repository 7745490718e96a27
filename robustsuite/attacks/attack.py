"""What every attack is: a frozen dataclass of hyper-parameters, called on a batch; its own part is `run`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite import module_state, seeding
from robustsuite.arguments import check_callable, check_kind
from robustsuite.attacks.access import Access, register
from robustsuite.attacks.criteria import Criterion, sought
from robustsuite.attacks.keepers import FirstSuccess, Keeper, Nearest
from robustsuite.attacks.models import Model
from robustsuite.attacks.result import AttackResult
from robustsuite.attacks.search import Search
from robustsuite.perturbations import Perturbation, Region, features


class Attack(ABC):
    """A frozen dataclass of hyper-parameters that is called on a batch.

    Attributes:
        access: what it asks of a model.
        keeper: what it keeps of the inputs that it tries.
    """

    __slots__ = ()
    access: ClassVar[Access]
    keeper: ClassVar[Keeper] = FirstSuccess()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        access = vars(cls).get("access")
        if isinstance(access, Access) and cls.__module__.startswith(f"{__package__}."):
            register(cls.__name__, access, nearest=isinstance(cls.keeper, Nearest))

    @abstractmethod
    def run(self, search: Search) -> None:
        """Search until the examples are done or the effort is spent; all is kept and counted by `search`."""

    def __call__(
        self,
        model: Model,
        x: Float[Tensor, "batch *input"],
        y: Tensor | Criterion,
        perturbation: Perturbation,
        *,
        generator: torch.Generator | seeding.ExampleSeeds | None = None,
    ) -> AttackResult:
        """Attack a model on a batch of examples.

        Args:
            model: callable from a batch of inputs to scores (batch, classes) or class numbers (batch,). A module is
                attacked in evaluation mode, and left as it was.
            x: the clean examples.
            y: what is sought: labels (batch,), int64, which mean `Misclassification(labels)`, or a criterion.
            perturbation: the threat model.
            generator: of the examples' seeds, or the seeds themselves; None: torch's own.

        Raises:
            InvalidInput: an argument of the wrong kind or size, or a model that cannot answer the attack's question.
            NotANumber: the model gives NaN on the clean examples.
        """
        return self.within(model, y, checked_region(model, x, perturbation), generator=generator)

    def within(
        self,
        model: Model,
        y: Tensor | Criterion,
        region: Region,
        *,
        generator: torch.Generator | seeding.ExampleSeeds | None = None,
    ) -> AttackResult:
        """Attack a model within a region, whose centre is the batch of clean examples. Arguments as for a call."""
        count, device = len(region.center), region.center.device
        criterion = sought(y, count, device)
        seeds = seeding.example_seeds(count, generator=generator).to(device)
        with module_state.evaluating(model), module_state.frozen(model), torch.no_grad():
            search = Search(model, criterion, region, seeds)
            search.run(self)
            return search.result()


def checked_region(model: Model, x: Tensor, perturbation: Perturbation) -> Region:
    """Check what every attack takes, and bind the perturbation to the clean examples.

    Raises:
        InvalidInput: a model that cannot be called, no batch of examples, or no perturbation.
    """
    check_callable(
        model, "model", "a module, or a function from a batch of inputs to outputs (batch, classes)"
    )
    check_kind(
        perturbation,
        Perturbation,
        "perturbation",
        "a threat model such as Linf(0.1), not yet bound to a batch",
    )
    features.check_batch(x, "x")
    return perturbation.around(x.detach())
