"""SA-DQN: stable-baselines3's DQN with the state-adversarial regulariser."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from robustsuite.perturbations import Region

from ..regularizers import Margin
from .value_based import Batch, ValueBased


class SADQN(ValueBased):
    """Deep Q-learning that keeps its greedy action when the observation moves inside a ball.

    ``L = huber TD loss + kappa * mean_i max( max over s^ in B(s_i), a != a* of Q(s^,a) - Q(s^,a*), -c )``, with a* the
    greedy action of the current network at the clean s_i. Targets and exploration use clean observations.

    Source: Zhang et al. 2020 (SA-MDP), section 3.4, equation (10).

    Note:
        The hinge is per sample (the reference's PGD form clamps the batch's sum once), and its mean goes by the weights of
        importance. Its runs on Atari: one frame, dueling (convex), prioritised replay with alpha .5 and beta .4 to 1.

    Args:
        policy, env, robustness, double, dueling, prioritized, dqn: as for `ValueBased`.

    Saving: `save` writes weights and settings as safetensors with JSON, and
    `load` reads them; neither runs code that the file brings. Archives of stable-baselines3 are opened by
    ``load(path, trust=True)`` alone.

    Raises:
        InvalidInput: the observations are neither vectors nor images (nor, with kappa 0, a Dict of them), the actions not
            discrete, a policy that does not fit them, a perturbation of another shape, or a number outside its range.

    Example:
        >>> from robustsuite import Linf
        >>> from robustsuite.envs import SADQN
        >>> from robustsuite.envs import Robustness
        >>> robustness = Robustness(perturbation=Linf(0.01), kappa=0.5)
        >>> agent = SADQN("MlpPolicy", "CartPole-v1", robustness=robustness, seed=0, device="cpu")
        >>> agent = agent.learn(200)
    """

    KIND: ClassVar[str] = "sa-dqn"

    def worst(self, batch: Batch, region: Region, share: float) -> Float[Tensor, ""]:
        """Give the mean hinge of the worst margin of the greedy action. See `ValueBased.worst`."""
        margin = Margin(batch.values.detach().argmax(1), self.q_function.actions)
        return batch.mean(self.solve(margin, region, share).clamp(min=-self.robustness.c))
