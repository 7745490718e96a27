"""What can be attacked: any callable from a batch of inputs to scores (rows, classes) or class numbers (rows,)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from robustsuite.arguments import described
from robustsuite.errors import InvalidInput, RobustsuiteError

Model = Callable[[Tensor], Tensor]


class NotANumber(InvalidInput, ArithmeticError):
    """A model gives NaN where nothing was perturbed: there is no class to attack."""


def first_outputs(model: Model, inputs: Tensor, *, numbers: bool = False) -> Tensor:
    """Run a model for the first time, and check what it gives.

    Args:
        model: the model.
        inputs: clean examples.
        numbers: whether class numbers (batch,) will do too.

    Raises:
        InvalidInput: it does not take such inputs, or gives something else than scores (batch, classes).
        NotANumber: scores with NaN.
    """
    try:
        outputs = model(inputs)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, RobustsuiteError):
            raise
        own = next(model.parameters(), None) if isinstance(model, nn.Module) else None
        has = f", its parameters are {own.dtype} on {own.device}" if own is not None else ""
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"the model does not take x of shape {tuple(inputs.shape)}, {inputs.dtype} on {inputs.device}{has} ({reason}); "
            "pass what it was made for, x.to(dtype) or x.to(device)"
        ) from error
    if isinstance(outputs, Tensor) and len(outputs.shape) > 0 and len(outputs) == len(inputs):
        if numbers and outputs.dim() == 1 and not (outputs.is_floating_point() or outputs.is_complex()):
            return outputs
        if outputs.dim() == 2 and outputs.shape[1] > 1 and outputs.is_floating_point():
            bad = outputs.detach().isnan().any(1)
            if bool(bad.any()):
                raise NotANumber(
                    f"the model gives NaN on the clean x, first in example {int(bad.nonzero()[0, 0])}; expected numbers: "
                    "mend its weights, or leave that example out"
                )
            return outputs
    raise InvalidInput(
        f"the model gives {described(outputs)}; expected a tensor (batch, classes) with batch {len(inputs)} and two "
        "classes or more: wrap it in a module that returns the logits"
    )
