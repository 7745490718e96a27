"""Write docs/operators.md: how tight each operator's bounds are, method by method, beside auto_LiRPA's.

The operators are those of the tests (tests/bounds/cases.py), each alone on two examples and a Linf ball. A number is the
median, over the outputs, of the width of the bounds over the width that a search finds (points, corners, projected
gradient descent for each output and direction); 1 is exact.

    python scripts/operator_table.py --peer ../auto_LiRPA     write the page
    python scripts/operator_table.py                          measure ours anew; the peer's numbers stay as they are
    python scripts/operator_table.py --check                  fail if an operator is missing on the page or has no bounds
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from rich.progress import track

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from robustsuite import seeding
from robustsuite.bounds import Bounds
from robustsuite.errors import RobustsuiteError
from tests.bounds.cases import METHODS, NETWORKS, OPERATORS, Case, Method, traced
from tests.bounds.cases import PERTURBATIONS as THREATS
from tests.bounds.search import extremes, slack

PAGE = ROOT / "docs" / "operators.md"
PEER_METHODS = {
    "ibp": "IBP",
    "forward": "Forward",
    "crown_ibp": "CROWN-IBP",
    "crown": "CROWN",
    "alpha_crown": "CROWN-Optimized",
}
_NUMBER = """A number is the
median over the outputs of the width of the bounds over the width that a search finds (sampled points, corners, projected
gradient descent for each output and direction); 1.00 is exact, and what is a little below shows the search's limits to
rounding."""
_MARKS = "*Refused*: an error; *broken*: the search found a point outside of the bounds."
REFUSED, BROKEN, UNKNOWN = "refused", "**broken**", "not tried"


def found(case: Case) -> Bounds:
    """Search the extremes of a case's outputs on its Linf ball."""
    region = THREATS[0].of(case).around(case.inputs())
    generator = seeding.generator(1, case.name, "table")
    return extremes(case.module(), region, samples=300, corners=100, steps=30, generator=generator)


def judge(bounds: Callable[[], Bounds], truth: Bounds) -> str:
    """Give the tightness of bounds as text, or what is wrong with them."""
    try:
        got = bounds()
    except (RobustsuiteError, Exception) as error:  # noqa: BLE001 (a library may refuse by any error)
        return f"{REFUSED} ({type(error).__name__})" if "--reasons" in sys.argv else REFUSED
    if got.lower.numel() != truth.lower.numel():
        return "wrong shape"
    lower, upper = got.lower.detach().view_as(truth.lower), got.upper.detach().view_as(truth.upper)
    if bool((torch.maximum(lower - truth.lower, truth.upper - upper).nan_to_num(0) > slack(truth)).any()):
        return BROKEN
    if not bool((lower.isfinite() & upper.isfinite()).all()):
        return "not finite"
    moving = truth.width > 1e-4 * (1 + truth.upper.abs())
    if not bool(moving.any()):
        return "exact" if float((upper - lower).max()) < 1e-3 else "loose"
    return f"{float(((upper - lower) / truth.width)[moving].median()):.2f}"


def ours(case: Case, method: Method) -> Bounds:
    """Bound a case by our method."""
    return method.call(traced(case), THREATS[0].of(case).around(case.inputs()))


def peers(case: Case, method: str) -> Bounds:
    """Bound a case by auto_LiRPA's method."""
    from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm

    x = case.inputs()
    region = THREATS[0].of(case).around(x)
    options = {"optimize_bound_args": {"iteration": 20, "lr_alpha": 0.1}}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        bounded = BoundedModule(case.module(), torch.zeros_like(x), bound_opts=options)
        ball = PerturbationLpNorm(norm=math.inf, x_L=region.lower, x_U=region.upper)
        lower, upper = bounded.compute_bounds(x=(BoundedTensor(x, ball),), method=PEER_METHODS[method])
    return Bounds(lower, upper)


def kept() -> dict[str, list[str]]:
    """Give the peer's numbers of the page as it is, by the case's name."""
    lines = PAGE.read_text().splitlines() if PAGE.exists() else []
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {row[0]: row[1 + len(METHODS) :] for row in cells if len(row) == 1 + 2 * len(METHODS)}


def rows(cases: Sequence[Case], *, peer: bool) -> list[list[str]]:
    """Measure all cases; the peer too, or as it is on the page."""
    known = kept()
    table = []
    for case in track(cases, description="operators"):
        truth = found(case)
        row = [case.name, *(judge(partial(ours, case, method), truth) for method in METHODS)]
        if peer:
            row += [judge(partial(peers, case, method.name), truth) for method in METHODS]
        elif known:
            row += known.get(case.name, [UNKNOWN] * len(METHODS))
        table.append(row)
    return table


def is_sound(cell: str) -> bool:
    """Say whether a cell stands for finite bounds that nothing broke."""
    return cell not in (BROKEN, UNKNOWN, "not finite", "wrong shape") and not cell.startswith(REFUSED)


def page(operators: list[list[str]], networks: list[list[str]], *, peer: bool) -> str:
    """Lay the tables out as a page."""
    names = [method.name for method in METHODS]
    head = ["", *names] + [f"auto_LiRPA {name}" for name in names] * peer

    def table(body: list[list[str]]) -> str:
        lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    counts = [sum(is_sound(row[i]) for row in operators) for i in range(1, len(head))]
    sums = [f"{name} {count}" for name, count in zip(names, counts, strict=False)]
    text = [
        "# Operators",
        "",
        "<!-- Written by scripts/operator_table.py from tests/bounds/cases.py; do not edit. -->",
        "",
        f"All {len(operators)} operators and {len(networks)} small networks of the tests, each on a Linf ball. {_NUMBER}",
        "",
        f"Sound and finite for ours: {', '.join(sums)} of {len(operators)}.",
    ]
    if peer:
        theirs = [f"{name} {count}" for name, count in zip(names, counts[len(names) :], strict=True)]
        tried = sum(row[-1] != UNKNOWN for row in operators)
        text += [
            f"For auto_LiRPA (a checkout of May 2026) on {tried} of these: {', '.join(theirs)}. {_MARKS}",
        ]
    text += ["", "A new operator is one rule and one line in that list.", "", table(operators)]
    text += ["", "## Networks", "", table(networks), ""]
    return "\n".join(text)


def check() -> list[str]:
    """Say what is wrong with the page, or with the operators."""
    text = PAGE.read_text() if PAGE.exists() else ""
    faults = [
        f"{case.name} is missing on {PAGE.name}: run this script"
        for case in OPERATORS + NETWORKS
        if f"| {case.name} |" not in text
    ]
    for row in rows(OPERATORS + NETWORKS, peer=False):
        mine = zip(METHODS, row[1 : 1 + len(METHODS)], strict=True)
        faults += [f"{row[0]}, {m.name}: {c}" for m, c in mine if not is_sound(c)]
    return faults


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", type=Path, help="a checkout of auto_LiRPA")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if the page is out of date"
    )
    parser.add_argument("--reasons", action="store_true", help="name the errors of what is refused")
    options = parser.parse_args()
    if options.check:
        faults = check()
        print("\n".join(faults) or "all operators are on the page, and soundly bounded")
        raise SystemExit(bool(faults))
    if options.peer:
        sys.path.insert(0, str(options.peer.resolve()))
    peer = options.peer is not None
    tables = [rows(cases, peer=peer) for cases in (OPERATORS, NETWORKS)]
    text = page(*tables, peer=peer or bool(kept()))
    PAGE.write_text(text)
    print(text.split("\n| ", 1)[0])


if __name__ == "__main__":
    main()
