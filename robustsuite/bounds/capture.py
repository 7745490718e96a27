"""Checks of what `trace` is given."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from robustsuite import features
from robustsuite.arguments import check_kind, described
from robustsuite.errors import InvalidInput


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
