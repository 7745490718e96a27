"""What an attack found, and how it got there."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The improvements of a search, in the order in which they came: successes nearer than all before.

    Attributes:
        example: which example improved.
        queries: what had been spent on it by then, its last call's rows included.
        distance: of the success to the clean input.
    """

    example: Int[Tensor, " events"]
    queries: Int[Tensor, " events"]
    distance: Float[Tensor, " events"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackResult:
    """What an attack found.

    Attributes:
        adversarial: shape (batch, *input): the adversarial example where there is one, else the best try inside.
        success: whether `adversarial` meets the criterion.
        distance: of `adversarial` to the clean input, in the perturbation's norm and in input units; in float32 at least.
        queries: rows of the example that the model was run on, those that were differentiated among them.
        gradients: rows of the example that were differentiated.
        trace: the improvements on the way.
    """

    adversarial: Float[Tensor, "batch *input"]
    success: Bool[Tensor, " batch"]
    distance: Float[Tensor, " batch"]
    queries: Int[Tensor, " batch"]
    gradients: Int[Tensor, " batch"]
    trace: Trace
