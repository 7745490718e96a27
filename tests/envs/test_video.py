"""Videos: two episodes side by side, readable again; and one line where nothing can be drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from robustsuite.envs import scale
from robustsuite.envs.attacks import RandomNoise
from robustsuite.envs.evaluation.video import side_by_side
from robustsuite.errors import InvalidInput

from .cases import STD, controller, q_agent


def test_a_gif_shows_both_episodes(tmp_path: Path) -> None:
    pytest.importorskip("pygame", reason="CartPole draws with pygame, extra `classic`")
    agent = q_agent((4, 8, 2))
    natural, _ = side_by_side(
        agent, tmp_path / "a" / "v.gif", adversary=RandomNoise(), perturbation=agent.ball(0.2), every=2
    )
    with Image.open(tmp_path / "a" / "v.gif") as video:
        assert getattr(video, "n_frames", 1) >= natural // 2
        assert video.size[0] == 2 * 600


def test_what_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ball = scale.ball(0.1, STD)
    with pytest.raises(InvalidInput, match=r"ends in \.gif or \.mp4"):
        side_by_side(controller(), tmp_path / "v.avi", adversary=RandomNoise(), perturbation=ball)
    monkeypatch.setitem(__import__("sys").modules, "pygame", None)
    with pytest.raises(InvalidInput, match="'CartPole-v1' cannot be drawn"):
        side_by_side(controller(), tmp_path / "v.gif", adversary=RandomNoise(), perturbation=ball)
    assert not (tmp_path / "v.gif").exists()
