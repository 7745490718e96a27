"""Robust Sarsa: lower a critic of one's own, trained for the fixed agent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from jaxtyping import Float
from torch import Tensor

from robustsuite import attacks, module_state, seeding
from robustsuite.arguments import check_fields, check_kind, check_numbers
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.seeding import ExampleSeeds

from ..policies import ActionCritic, Agent, Policy, QFunction
from . import transitions
from .adversary import Memoryless
from .criteria import LeastWorth
from .sarsa import SarsaTraining, train_critic
from .trials import least_return


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustSarsa(Memoryless):
    """Minimise ``Q_RS(s, mu(s^))`` over B(s), by sign steps of radius / steps from the true state.

    Source: Zhang et al. 2020, section 4 (RS attack).

    Args:
        critic: of the agent under attack, from `RobustSarsaTraining` or `sarsa.train_critic`.
        steps: gradient steps, >= 1.
    """

    critic: ActionCritic
    steps: int = 10

    def __post_init__(self) -> None:
        check_kind(self.critic, ActionCritic, "critic", "one of RobustSarsaTraining().prepare(agent, ...)")
        check_fields(self, "steps", integer=True, least=1)

    @property
    def name(self) -> str:
        return "RS"

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
        attack = attacks.PGD(steps=self.steps, step_size=1 / self.steps, random_start=False)
        with module_state.frozen(self.critic.network):
            least = LeastWorth(self.critic, policy, states)
            return attack(policy.network, states, least, perturbation, generator=seeds).adversarial


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustSarsaTraining:
    """Train critics of an agent, and keep the one whose attack leaves it least, on episodes of its own.

    Args:
        samples: steps of the agent with noise on its actions, >= 1.
        noise: of the noisiest environment, in deviations of the agent's actions, >= 0.
        training: of each critic; its box and weight are replaced.
        boxes, weights: scanned, each with each. See `SarsaTraining`.
        episodes: that each critic is tried on, >= 1.
        steps: of the attack.

    Source: Zhang et al. 2020, appendix, for the scan.
    """

    samples: int = 60_000
    noise: float = 0.5
    training: SarsaTraining = field(default_factory=SarsaTraining)
    boxes: tuple[float, ...] = (0.1, 0.3)
    weights: tuple[float, ...] = (1.0,)
    episodes: int = 5
    steps: int = 10

    def __post_init__(self) -> None:
        check_fields(self, "samples", "episodes", "steps", integer=True, least=1)
        check_fields(self, "noise", least=0)
        check_kind(self.training, SarsaTraining, "training", "a SarsaTraining(...)")
        check_numbers("boxes", self.boxes, least=0)
        check_numbers("weights", self.weights, least=0)

    @property
    def name(self) -> str:
        return "RS"

    def prepare(self, agent: Agent, perturbation: Perturbation, *, seed: int) -> RobustSarsa:
        """See `Preparation`."""
        tried = (RobustSarsa(critic=critic, steps=self.steps) for critic in self.critics(agent, seed=seed))
        return least_return(agent, perturbation, tried, episodes=self.episodes, seed=seed)

    def critics(self, agent: Agent, *, seed: int) -> Iterator[ActionCritic]:
        """Train the critics of the scan, on the same transitions.

        Raises:
            InvalidInput: the agent's actions are not continuous.
        """
        check_continuous(agent.policy, self.name)
        met = transitions.collect(
            agent, steps=self.samples, noise=self.noise, seed=seeding.derive(seed, self.name)
        )
        for box in self.boxes:
            for weight in self.weights:
                training = replace(self.training, box=box, weight=weight)
                yield train_critic(agent, met, training, seed=seed)


def check_continuous(policy: Policy, name: str) -> None:
    """Check that a policy gives vectors of numbers.

    Raises:
        InvalidInput: it chooses one of several actions.
    """
    if isinstance(policy, QFunction):
        raise InvalidInput(
            f"adversary '{name}' has a critic of continuous actions, and the policy is {policy.kind}; expected a "
            "deterministic or Gaussian one: for a QFunction take MinQ() or CriticAttack()"
        )
