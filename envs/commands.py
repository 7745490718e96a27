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
