"""Environments that play one episode each and then rest, so that no step is simulated in vain."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn


class Lockstep(DummyVecEnv):
    """A `DummyVecEnv` whose environments rest once their episode is done: they show their last observation and give no
    reward, until all are reset."""

    def reset(self) -> VecEnvObs:
        self._resting = np.zeros(self.num_envs, dtype=bool)
        return super().reset()

    def step_wait(self) -> VecEnvStepReturn:
        self.buf_infos = [{} for _ in self.envs]
        for place in np.flatnonzero(~self._resting):
            observation, reward, terminated, truncated, info = self.envs[place].step(self.actions[place])
            self.buf_rews[place] = float(reward)
            self.buf_infos[place] = {**info, "TimeLimit.truncated": truncated and not terminated}
            self._resting[place] = terminated or truncated
            self._save_obs(int(place), observation)
        done: Any = self._resting.copy()
        self.buf_dones[:] = done
        rewards = np.copy(self.buf_rews)
        self.buf_rews[done] = 0.0
        return self._obs_from_buf(), rewards, done, self.buf_infos.copy()
