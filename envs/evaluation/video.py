"""Two episodes side by side as a video: from the same reset, without and with an adversary."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from robustsuite.arguments import check_number
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.runs import files

from .. import environments
from ..attacks import Adversary
from ..policies import Agent
from .rollout import rollout

if TYPE_CHECKING:
    from PIL import Image as Images

Frames = npt.NDArray[np.uint8]
"""Shape (frames, height, width, 3)."""

SUFFIXES = (".gif", ".mp4")
_HEAD = 22


def side_by_side(
    agent: Agent,
    path: Path,
    *,
    adversary: Adversary,
    perturbation: Perturbation,
    seed: int = 0,
    attack_seed: int = 0,
    fps: int = 30,
    every: int = 1,
) -> tuple[float, float]:
    """Write a video of an agent in its environment, unattacked on the left and attacked on the right.

    Args:
        agent: who acts.
        path: of the file, .gif (by Pillow) or .mp4 (by OpenCV).
        adversary, perturbation: of the right half.
        seed: reset seed of both episodes, >= 0.
        attack_seed: of the adversary's random streams.
        fps: frames per second of the video, >= 1.
        every: steps between frames, >= 1: fewer for a smaller file.

    Returns:
        The returns of the two episodes.

    Raises:
        InvalidInput: another suffix, or nothing that could draw the environment: a package is missing, or it has no pictures.
        NotWritable: no permission to write there.
    """
    check_number("fps", fps, integer=True, least=1, most=1000)
    check_number("every", every, integer=True, least=1)
    path = files.checked_path(path)
    if path.suffix not in SUFFIXES:
        raise InvalidInput(f"the video's file is '{path}'; expected one that ends in {' or '.join(SUFFIXES)}")
    writer = _gif if path.suffix == ".gif" else _mp4
    if path.suffix == ".mp4":
        _opencv()
    about: dict[str, Any] = {"seed": seed, "attack_seed": attack_seed, "every": every}
    left, natural = played(agent, **about)
    right, attacked = played(agent, adversary=adversary, perturbation=perturbation, **about)
    halves = (
        _headed(left, f"no attack: return {natural:.0f}"),
        _headed(right, f"{adversary.name}, {perturbation.describe()}: return {attacked:.0f}"),
    )
    length = max(map(len, halves))
    joined = np.concatenate([_lasting(half, length) for half in halves], axis=2)
    files.make_folder(path.parent)
    with files.replacing(path) as temporary:
        writer(joined, temporary, fps)
    return natural, attacked


def played(
    agent: Agent,
    *,
    seed: int,
    adversary: Adversary | None = None,
    perturbation: Perturbation | None = None,
    attack_seed: int = 0,
    every: int = 1,
) -> tuple[Frames, float]:
    """Play one episode and give its frames and its return.

    Raises:
        InvalidInput: there is nothing that could draw the environment.
    """
    frames: list[npt.NDArray[np.uint8]] = []
    with _drawing(agent.env), closing(environments.lockstep(agent.env, 1, **_camera(agent.env))) as env:
        steps = 0

        def look() -> None:
            nonlocal steps
            if steps % every == 0:
                frames.append(_picture(env, agent.env))
            steps += 1

        done = rollout(
            agent,
            env,
            episodes=1,
            seed=seed,
            adversary=adversary,
            perturbation=perturbation,
            attack_seed=attack_seed,
            keep_states=False,
            look=look,
        )
    return np.stack(frames), float(done.returns[0])


def _camera(name: str) -> dict[str, Any]:
    """Give the options of an environment that is drawn: in MuJoCo the camera that follows the body, where there is one."""
    with closing(environments.make(name)) as env:
        model = getattr(env.unwrapped, "model", None)
        if not hasattr(env.unwrapped, "mujoco_renderer"):
            return {"render_mode": "rgb_array"}
        import mujoco

        follows = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, "track") >= 0
        return {"render_mode": "rgb_array", **({"camera_name": "track"} if follows else {})}


def _picture(env: Any, name: str) -> npt.NDArray[np.uint8]:
    picture = env.envs[0].render()
    if not isinstance(picture, np.ndarray):
        raise InvalidInput(f"environment '{name}' has no pictures; expected one that renders 'rgb_array'")
    return picture.astype(np.uint8)


@contextmanager
def _drawing(name: str) -> Iterator[None]:
    """Let MuJoCo and SDL draw without a display, and name what is missing."""
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    try:
        yield
    except InvalidInput:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"environment '{name}' cannot be drawn ({reason}); its pictures need pygame (pip install "
            "'robustsuite[classic]') or, for MuJoCo, a graphics library such as EGL"
        ) from error


def _headed(frames: Frames, text: str) -> Frames:
    """Put a line of text above all frames."""
    from PIL import Image, ImageDraw

    head: Images.Image = Image.new("RGB", (frames.shape[2], _HEAD), "white")
    ImageDraw.Draw(head).text((6, 5), text, fill="black")
    band = np.broadcast_to(np.asarray(head), (len(frames), *np.asarray(head).shape))
    return np.concatenate([band, frames], axis=1)


def _lasting(frames: Frames, length: int) -> Frames:
    """Show the last frame, paler, until the end."""
    if len(frames) == length:
        return frames
    last = frames[-1].copy()
    last[_HEAD:] = 255 - (255 - last[_HEAD:]) // 3
    return np.concatenate([frames, np.broadcast_to(last, (length - len(frames), *last.shape))])


def _gif(frames: Frames, path: Path, fps: int) -> None:
    from PIL import Image

    pictures = [Image.fromarray(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
    pictures[0].save(
        path,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=max(20, round(1000 / fps)),
        loop=0,
    )


def _mp4(frames: Frames, path: Path, fps: int) -> None:
    import tempfile

    cv2 = _opencv()
    height, width = (size - size % 2 for size in frames.shape[1:3])  # the codec wants even sizes
    with tempfile.TemporaryDirectory() as folder:  # the writer goes by the suffix
        made = Path(folder) / "video.mp4"
        video = cv2.VideoWriter(str(made), cv2.VideoWriter_fourcc(*"mp4v"), float(fps), (width, height))
        for frame in frames:
            video.write(np.ascontiguousarray(frame[:height, :width, ::-1]))
        video.release()
        path.write_bytes(made.read_bytes())


def _opencv() -> Any:
    try:
        import cv2
    except ModuleNotFoundError:
        raise InvalidInput(
            "an .mp4 needs OpenCV, which is not installed; write a .gif, or run: pip install opencv-python-headless"
        ) from None
    return cv2
