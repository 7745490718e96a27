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

from robustsuite.bounds.branching.verify import Answer, Verdict, verify
from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.margins import Margins, margins
from robustsuite.bounds.methods.alpha_crown import alpha_crown
from robustsuite.bounds.methods.certified import certified
from robustsuite.bounds.methods.cross_entropy import (
    CrossEntropyBound,
    CrossEntropyMethod,
    fused_cross_entropy,
    margin_cross_entropy,
)
from robustsuite.bounds.methods.crown import crown, crown_ibp
from robustsuite.bounds.methods.forward import forward
from robustsuite.bounds.methods.ibp import ibp
from robustsuite.bounds.methods.jacobian import jacobian, lipschitz
from robustsuite.bounds.methods.objectives import Method
from robustsuite.bounds.tracing.graph import Graph, trace
from robustsuite.bounds.tracing.weights import Weights

__all__ = [
    "Answer",
    "Bounds",
    "CrossEntropyBound",
    "CrossEntropyMethod",
    "Graph",
    "Margins",
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
