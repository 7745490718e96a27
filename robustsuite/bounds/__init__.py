"""Bound propagation for any torch graph.

Trace a module once, bind a perturbation to a batch, call a method:

    >>> import torch
    >>> from robustsuite import Linf, bounds
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> net = bounds.trace(model, torch.zeros(1, 2))
    >>> region = Linf(0.1).around(torch.rand(5, 2))
    >>> b = bounds.crown(net, region)
    >>> bool((b.lower <= model(region.sample())).all())
    True
"""

from robustsuite.bounds.alpha_crown import alpha_crown
from robustsuite.bounds.bounds import Bounds
from robustsuite.bounds.cross_entropy import (
    CrossEntropyBound,
    CrossEntropyMethod,
    fused_cross_entropy,
    margin_cross_entropy,
)
from robustsuite.bounds.crown import crown, crown_ibp
from robustsuite.bounds.forward import forward
from robustsuite.bounds.graph import Graph, trace
from robustsuite.bounds.ibp import ibp
from robustsuite.bounds.jacobian import jacobian, lipschitz
from robustsuite.bounds.specs import Method, certified, margins
from robustsuite.bounds.verify import Answer, Verdict, verify
from robustsuite.bounds.weights import Weights

__all__ = [
    "Answer",
    "Bounds",
    "CrossEntropyBound",
    "CrossEntropyMethod",
    "Graph",
    "Method",
    "Verdict",
    "Weights",
    "alpha_crown",
    "certified",
    "crown",
    "crown_ibp",
    "forward",
    "fused_cross_entropy",
    "ibp",
    "jacobian",
    "lipschitz",
    "margin_cross_entropy",
    "margins",
    "trace",
    "verify",
]
