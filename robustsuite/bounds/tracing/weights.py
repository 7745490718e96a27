"""Perturbed parameters: a network's weights as further inputs, each with a region of its own."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from robustsuite.arguments import check_flags, check_kind, described
from robustsuite.bounds.tracing.capture import check_capture
from robustsuite.bounds.tracing.graph import Graph, trace
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import L1, L2, BoxRegion, Linf, Region, features

Inputs = Tensor | Region | tuple[Tensor | Region, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """Parameters that move: each tensor in a ball of its own around its present value.

    The bounds hold for all networks with such parameters (and all inputs of the inputs' regions): what quantisation,
    faulty memory or further training within the ball can do. All examples of a batch get bounds of their own; the
    worst parameters may differ from one to the other.

    Args:
        threat: the ball around each tensor, such as ``Linf(0.01)``, in the parameter's units.
        names: of the parameters, as in `module.named_parameters()`; ``*`` stands for any text: ``("0.*", "last.bias")``.
        relative: the radius counts in sizes of each entry: ``Linf(0.01)`` is one per cent of it.

    Raises:
        InvalidInput: no names.

    Source: Weng et al. 2020 (2001.11176); Xu et al. 2020, section 4 (certified training for flat optima).

    Note:
        With inputs that do not move, bounds of an affine layer are exact (radius ``eps ||x||_q``); after that each
        product of a perturbed weight with a perturbed activation gets McCormick's planes.

    Example:
        >>> import torch
        >>> from robustsuite import Linf, bounds
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
        >>> x = torch.rand(3, 2)
        >>> weights = bounds.Weights(Linf(0.01), ("*.weight",), relative=True)
        >>> b = bounds.crown(weights.trace(model, x), weights.around(model, x))
        >>> b.lower.shape
        torch.Size([3, 1])
    """

    threat: Linf | L2 | L1
    names: tuple[str, ...] = ("*",)
    relative: bool = False

    def __post_init__(self) -> None:
        check_kind(self.threat, (Linf, L2, L1), "threat", "a ball such as Linf(0.01)")
        check_flags(self, "relative")
        if not isinstance(self.names, str | tuple | list):
            raise InvalidInput(
                f"names are {described(self.names)}; expected names of parameters, such as ('0.weight',)"
            )
        names = (self.names,) if isinstance(self.names, str) else tuple(self.names)
        if not names or not all(isinstance(name, str) for name in names):
            raise InvalidInput(
                f"names are {self.names!r}; expected names of parameters, such as ('0.weight',)"
            )
        object.__setattr__(self, "names", names)

    def trace(self, module: nn.Module, example: Tensor | tuple[Tensor, ...]) -> Graph:
        """Capture a module as a graph of its inputs and the named parameters; arguments as for `bounds.trace`.

        Raises:
            InvalidInput: a name fits no parameter, or the module cannot be captured.
            UnsupportedOperator: an operator has no bounding rule.
        """
        examples = check_capture(module, example)
        chosen = self.of(module)
        exposed = _Exposed(module, tuple(chosen), len(examples))
        values = (_for_each(value.detach(), len(examples[0])) for value in chosen.values())
        return trace(exposed, (*examples, *values))

    def around(self, module: nn.Module, inputs: Inputs) -> tuple[Region, ...]:
        """Give the regions that go with a graph of `trace`: those of the inputs, then those of the parameters.

        Args:
            module: the traced one; its parameters' present values are the centres, and gradients flow into them.
            inputs: a batch that does not move, a region that does, or a tuple of such for several inputs.
        """
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        for part in given:
            if not isinstance(part, Region):
                features.check_finite(part)
        regions = [_fixed(x) if isinstance(x, Tensor) else x for x in given]
        batch = len(regions[0].center)
        moving = []
        for value in self.of(module).values():
            center = _for_each(value, batch)
            moving.append(self.threat.around(center, unit=center.abs() if self.relative else None))
        return (*regions, *moving)

    def of(self, module: nn.Module) -> dict[str, Tensor]:
        """Give the named parameters of a module, in its order.

        Raises:
            InvalidInput: a name fits no parameter.
        """
        check_kind(module, nn.Module, "module", "the torch.nn.Module that was traced")
        parameters = dict(module.named_parameters())
        for name in self.names:
            if not any(fnmatchcase(known, name) for known in parameters):
                raise InvalidInput(
                    f"no parameter is called '{name}'; the module has {', '.join(parameters) or 'none at all'}"
                )
        return {
            known: value
            for known, value in parameters.items()
            if any(fnmatchcase(known, name) for name in self.names)
        }


def _fixed(x: Tensor) -> Region:
    x = features.owned(x)
    return BoxRegion(x, x, x)


def _for_each(value: Tensor, batch: int) -> Tensor:
    """Give a parameter for each example of a batch, without copies; a single number gets an axis."""
    value = value.reshape(1) if value.dim() == 0 else value
    return value.unsqueeze(0).expand(batch, *value.shape)


class _Exposed(nn.Module):
    """A module that takes some of its parameters as inputs: for each example its own.

    Args:
        module: the network.
        names: of the parameters.
        inputs: number of the network's own inputs, which come first.
    """

    def __init__(self, module: nn.Module, names: tuple[str, ...], inputs: int) -> None:
        super().__init__()
        self.module, self._names, self._inputs = module, names, inputs
        self._shapes = {name: tuple(module.get_parameter(name).shape) for name in names}

    def forward(self, *tensors: Tensor) -> Tensor:
        if len(tensors[0]) == 1:
            return self._alone(tensors)
        # One example after the other: each has a network of its own.
        rows = [self._alone([t[i : i + 1] for t in tensors]) for i in range(len(tensors[0]))]
        return torch.cat(rows)

    def _alone(self, tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
        values = zip(self._names, tensors[self._inputs :], strict=True)
        parameters = {name: value.reshape(self._shapes[name]) for name, value in values}
        y = torch.func.functional_call(self.module, parameters, tuple(tensors[: self._inputs]))
        assert isinstance(y, Tensor)
        return y
