"""How far the action of a continuous policy can move inside B(s), at most."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite import bounds
from robustsuite.arguments import check_kind
from robustsuite.bounds import Method
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.perturbations.features import check_batch

from ..policies import Deterministic, Gaussian, Policy
from ..threads import one_thread

_BATCH = 2048


@torch.no_grad()
def action_deviation(
    policy: Policy,
    states: Float[Tensor, "steps *state"],
    perturbation: Perturbation,
    *,
    method: Method = bounds.crown,
) -> Float[Tensor, " steps"]:
    """Bound ``max over s^ in B(s) of || a(s^) - a(s) ||_2`` for each state, a the deterministic action.

    Each coordinate's bound is that of `method` within that of IBP, so that no method is looser than IBP.

    Source: Zhang et al. 2020 (SA-MDP), section 3.3 and appendix: ``max(upper - mu, mu - lower)`` by coordinate.

    Args:
        policy: deterministic or Gaussian.
        states: true states, shape (steps, *state).
        perturbation: B(s).
        method: bounding method, such as `bounds.ibp` or `bounds.crown`.

    Raises:
        InvalidInput: a policy of several actions, or no states.
    """
    check_kind(policy, (Deterministic, Gaussian), "policy", "one of continuous actions")
    check_kind(perturbation, Perturbation, "perturbation", "a threat model such as agent.ball(0.1)")
    check_batch(states, "states")
    if len(states) == 0:
        raise InvalidInput("got no states to certify; expected at least one")
    graph, parts = policy.graph(states[:2]), []
    with one_thread():
        for batch in torch.split(states, _BATCH):
            region, action = perturbation.around(batch), policy.act(batch)
            found = method(graph, region)
            lower, upper = found.lower, found.upper
            if method is not bounds.ibp:
                plain = bounds.ibp(graph, region)
                lower, upper = torch.maximum(lower, plain.lower), torch.minimum(upper, plain.upper)
            lower, upper = policy.decide(lower), policy.decide(upper)
            parts.append(
                policy.distance(torch.maximum(upper - action, action - lower), torch.zeros_like(action))
            )
    return torch.cat(parts)
