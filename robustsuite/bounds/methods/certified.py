"""Certificates: which predictions no input of a region changes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from robustsuite.bounds.arguments import Regions, check_classifier, check_method, checked
from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.margins import margins
from robustsuite.bounds.methods.crown import crown
from robustsuite.bounds.tracing.graph import Graph


def certified(
    net: Graph,
    region: Regions,
    labels: Int[Tensor, " batch"],
    *,
    method: Callable[..., Bounds] = crown,
) -> Bool[Tensor, " batch"]:
    """Say for each example whether no input of its region changes the predicted class away from the label.

    Args:
        net: a traced classifier with outputs (batch, classes).
        region: from `Perturbation.around`, or a tuple with one region per input.
        labels: class of each example.
        method: a bound method.

    Returns:
        True where every margin's lower bound is above 0. False proves nothing.

    Raises:
        InvalidInput: labels or shapes do not fit.
    """
    check_method(method)
    check_classifier(net, checked(net, region), labels)
    objective = margins(net.output_shape[0], labels)
    with torch.no_grad():
        bounds = method(net, region, objective=objective, upper=False)
    return (bounds.lower > 0).all(1)
