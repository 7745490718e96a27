"""The commands that this domain brings to `robustsuite`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from robustsuite import interruption
from robustsuite.errors import InvalidInput


def matrix(
    agents: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="AGENT ...")],
    /,
    *,
    attacks: str = "all",
    eps: tuple[float, ...] = (),
    episodes: int = 20,
    seed: int = 0,
    env: str | None = None,
    device: str = "cpu",
    out: Path = Path("runs/matrix"),
) -> int:
    """Measure several agents under the same attacks, and show what each keeps under each.

    Example: robustsuite matrix runs/cartpole-dqn runs/cartpole-sadqn --attacks none,random,pgd --out runs/matrix

    Every agent gets a folder below `out`; agents that are measured there already are not measured again. Runs of one recipe
    with several seeds are pooled: interquartile means, with intervals over trainings.

    Args:
        agents: folders of runs, files of agents, or published agents without suffix.
        attacks: names with commas between them: none, all, random, pgd, mad ...
        eps: radii in the agents' units; none: each agent's own.
        episodes: per attack and radius.
        seed: reset seed of the first episode.
        env: gymnasium id; the agents' own by default.
        device: "cpu", "cuda", "cuda:1" ...
        out: folder of the measurements.
    """
    with interruption.importing():
        from dataclasses import replace

        from robustsuite.arguments import check_device
        from robustsuite.commands import console, results
        from robustsuite.report import page as pages
        from robustsuite.runs.run import Run

        from .evaluation.matrix import matrices
        from .evaluation.tables import drawn
        from .recipes.measured_agent import evaluation_of

    check_device(device)
    if not agents:
        raise InvalidInput("got no agents; expected folders of runs, or files of agents")
    chosen = []
    for path in agents:
        found = evaluation_of(path)
        if found is None:
            raise InvalidInput(f"no agent at '{path}'; expected a run's folder, or an agent's file")
        chosen.append(
            replace(
                found,
                name=path.resolve().stem,
                seed=seed,
                device=device,
                attacks=(attacks,),
                eps=eps,
                episodes=episodes,
                env=env,
            )
        )
    names = [recipe.name for recipe in chosen]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"two agents are called '{name}'; expected other names: rename one's folder")
    folders = []
    with console.drawing() as listener:
        for recipe in chosen:
            folder = out / recipe.name
            run = Run.create(folder, recipe, resume=(folder / "recipe.json").exists(), listener=listener)
            try:
                if not run.records.is_file():
                    results.measure(recipe, run)
            finally:
                run.close()
            folders.append(run.path)
    content = pages.collect(folders, title=out.name)
    pages.write(content, out / "report.html")
    for shown in matrices(content.records):
        console.out.print(drawn(shown))
    console.say(f"report: {out / 'report.html'}")
    return 0


def video(
    agent: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="AGENT")],
    /,
    *,
    attack: str = "random",
    eps: float | None = None,
    seed: int = 0,
    fps: int = 30,
    every: int = 1,
    env: str | None = None,
    out: Path = Path("video.gif"),
) -> int:
    """Show an agent without and with an attack, side by side, from the same start.

    Example: robustsuite video runs/cartpole-dqn --attack pgd --eps 0.1 --out dqn.gif

    Args:
        agent: a run's folder, an agent's file, or a published agent without suffix.
        attack: one name. See 'robustsuite evaluate AGENT --help'.
        eps: radius in the agent's units; its own by default.
        seed: reset seed.
        fps: frames per second.
        every: steps between frames.
        env: gymnasium id; the agent's own by default.
        out: the file, .gif or .mp4.
    """
    with interruption.importing():
        from dataclasses import replace

        from robustsuite.commands import console

        from .attacks import Adversary, Preparation
        from .attacks.names import named
        from .evaluation.video import side_by_side
        from .recipes.measured_agent import evaluation_of

    found = evaluation_of(agent)
    if found is None:
        raise InvalidInput(f"no agent at '{agent}'; expected a run's folder, or an agent's file")
    shown = replace(found, env=env).load()
    chosen = named((attack,), shown.policy)
    if len(chosen) == 0:
        raise InvalidInput("attack is 'none'; expected the name of one attack")
    radius = shown.eps if eps is None else eps
    if radius is None:
        raise InvalidInput(f"the agent at '{agent}' has no radius of its own; give one: --eps 0.1")
    ball = shown.ball(radius)
    adversary = chosen[0].prepare(shown, ball, seed=seed) if isinstance(chosen[0], Preparation) else chosen[0]
    assert isinstance(adversary, Adversary)
    natural, attacked = side_by_side(
        shown, out, adversary=adversary, perturbation=ball, seed=seed, fps=fps, every=every
    )
    console.say(f"{out}: return {natural:.0f} without, {attacked:.0f} under {adversary.name}")
    return 0
