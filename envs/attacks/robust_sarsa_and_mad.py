"""Robust Sarsa with the maximal action difference: a critic's slope, helped where it is flat."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from robustsuite import attacks, module_state
from robustsuite.arguments import check_fields, check_kind, check_numbers
from robustsuite.perturbations import Perturbation
from robustsuite.seeding import ExampleSeeds

from ..policies import ActionCritic, Agent, Policy
from .adversary import Memoryless
from .criteria import LeastWorth, Mixed
from .robust_sarsa import RobustSarsaTraining, check_continuous
from .trials import least_return


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustSarsaAndMAD(Memoryless):
    """Minimise ``(1 - share) Q_RS(s, mu(s^)) - share * MAD(s, s^)`` over B(s), by sign steps from a uniform start.

    Source: Zhang et al. 2020, appendix (RS+MAD attack).

    Args:
        critic: of the agent under attack. See `RobustSarsa`.
        share: of the maximal action difference, in [0, 1].
        steps: gradient steps, >= 1.
    """

    critic: ActionCritic
    share: float
    steps: int = 10

    def __post_init__(self) -> None:
        check_kind(self.critic, ActionCritic, "critic", "one of RobustSarsaTraining().prepare(agent, ...)")
        check_fields(self, "share", least=0, most=1)
        check_fields(self, "steps", integer=True, least=1)

    @property
    def name(self) -> str:
        return "RS+MAD"

    def check(self, policy: Policy) -> None:
        """See `Memoryless`."""
        check_continuous(policy, self.name)

    def shown(
        self,
        policy: Policy,
        states: Float[Tensor, "batch *observation"],
        perturbation: Perturbation,
        seeds: ExampleSeeds,
    ) -> Float[Tensor, "batch *observation"]:
        attack = attacks.PGD(steps=self.steps)
        with module_state.frozen(self.critic.network):
            both = Mixed(LeastWorth(self.critic, policy, states), policy.divergence(states), self.share)
            return attack(policy.network, states, both, perturbation, generator=seeds).adversarial


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustSarsaAndMADTraining:
    """Train a critic for `RobustSarsa`, and keep the share under which the agent is left least.

    Args:
        sarsa: trains the critic.
        shares: tried, on episodes of their own, each in [0, 1].
    """

    sarsa: RobustSarsaTraining = field(default_factory=RobustSarsaTraining)
    shares: tuple[float, ...] = (0.01, 0.1, 0.5)

    def __post_init__(self) -> None:
        check_kind(self.sarsa, RobustSarsaTraining, "sarsa", "a RobustSarsaTraining(...)")
        check_numbers("shares", self.shares, least=0, most=1)

    @property
    def name(self) -> str:
        return "RS+MAD"

    def prepare(self, agent: Agent, perturbation: Perturbation, *, seed: int) -> RobustSarsaAndMAD:
        """See `Preparation`."""
        critic = self.sarsa.prepare(agent, perturbation, seed=seed).critic
        tried = (
            RobustSarsaAndMAD(critic=critic, share=share, steps=self.sarsa.steps) for share in self.shares
        )
        return least_return(agent, perturbation, tried, episodes=self.sarsa.episodes, seed=seed)
