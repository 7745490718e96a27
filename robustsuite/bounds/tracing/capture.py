"""What `trace` is given: its checks, and its operators."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from robustsuite.arguments import check_kind, described
from robustsuite.bounds.rules import TABLE
from robustsuite.errors import InvalidInput, RobustsuiteError
from robustsuite.perturbations import features


def check_takes(module: nn.Module, examples: Sequence[Tensor]) -> None:
    """Run a module on one example, as it is about to be captured.

    Raises:
        InvalidInput: it does not take it; the message has torch's own reason.
    """
    try:
        with torch.no_grad():
            result = module(*examples)
    except RobustsuiteError:
        raise
    except Exception as error:
        own = next(module.parameters(), None)
        has = f" (its parameters are {own.dtype} on {own.device})" if own is not None else ""
        given = ", ".join(f"{tuple(value.shape)} {value.dtype} on {value.device}" for value in examples)
        reason = (str(error).splitlines() or [""])[0]
        raise InvalidInput(
            f"the module{has} does not take an example of shape {given} ({type(error).__name__}: {reason}); "
            "pass one batch for each of its inputs, of the shape, dtype and device that it was made for"
        ) from error
    if not isinstance(result, Tensor):
        raise InvalidInput(
            f"the module returns {described(result)}; expected a tensor: wrap it in a module that returns the one to bound"
        )


def check_capture(module: object, example: object) -> tuple[Tensor, ...]:
    """Check the module and the example that a graph is to be made of, and give the examples as a tuple.

    Raises:
        InvalidInput: no module; no batch of finite floating point numbers for each input; a device without values.
    """
    check_kind(
        module,
        nn.Module,
        "module",
        "a torch.nn.Module: wrap a function in a module whose forward calls it",
    )
    assert isinstance(module, nn.Module)
    if isinstance(module, torch.jit.ScriptModule):
        raise InvalidInput("module is a torch.jit.ScriptModule; expected the nn.Module that it was made from")
    examples = example if isinstance(example, tuple) else (example,)
    if not examples:
        raise InvalidInput("example is an empty tuple; expected one batch for each input of the module")
    for value in examples:
        features.check_batch(value, "example")
        assert isinstance(value, Tensor)
        if len(value) < 1:
            raise InvalidInput(
                f"example is {described(value)}, not a batch of one example or more; expected at least one"
            )
        if not value.numel():
            raise InvalidInput(f"example is {described(value)}; expected at least one number")
        if value.is_complex():
            raise InvalidInput(f"example is {described(value)}; expected real numbers")
        if not bool(torch.isfinite(value).all()):
            raise InvalidInput(
                "example has NaN or infinite values; expected finite ones: they show how the module acts"
            )
    held = itertools.chain(module.named_parameters(), module.named_buffers())
    absent = next((name for name, value in held if value.is_meta), None)
    if absent is not None:
        raise InvalidInput(
            f"'{absent}' of the module is on the device 'meta' and has no values; load its weights first"
        )
    return examples


def export(module: nn.Module, examples: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """Write a module as a graph of the operators that have bounding rules, as far as torch can take it apart.

    Args:
        module: in eval mode.
        examples: one example of each input, shape (1, *input).

    Raises:
        InvalidInput: torch cannot; the message has its reason.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported: torch.export.ExportedProgram = torch.export.export(module, examples, strict=False)
            table = torch.export.default_decompositions()
            for target in TABLE:
                table.pop(target, None)
            exported = exported.run_decompositions(table)
            return exported
    except InvalidInput:
        raise
    except Exception as error:
        line = str(error).strip().splitlines()
        raise InvalidInput(
            f"the module cannot be captured by torch.export: {line[0] if line else type(error).__name__}; "
            "control flow must not depend on values of tensors"
        ) from error
