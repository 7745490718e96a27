"""Decide the VNN-COMP instances and hold the answers against the known ones.

    python scripts/bench_verify.py --families acasxu mnistfc --timeout 60

The instances lie in the folder vnncomp of ROBUSTSUITE_DATA: a folder per family with an instances.csv of network,
property, timeout and answer. Each counterexample is run through onnxruntime, which knows nothing of our importer.
A wrong answer makes the exit code 1. Beside our seconds stand those of the tool that won in 2021, as the
competition published them (its own machine with a GPU, about 7 s of start-up included).
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from rich.console import Console
from rich.table import Table

from robustsuite.commands.deciding import decide_files
from robustsuite.formats import UnsafeSet, compressed, exact, load_vnnlib
from robustsuite.formats.decision import Decision, Result

DECIDED = (Result.SAT.value, Result.UNSAT.value)


def instances(folder: Path, only: str) -> Iterator[dict[str, str]]:
    """Give the lines of a family's list that contain the text `only`."""
    with (folder / "instances.csv").open() as file:
        for row in csv.DictReader(file):
            if only in f"{row['network']} {row['property']}":
                yield row


def is_confirmed(decision: Decision, network: Path, unsafe: UnsafeSet) -> bool:
    """Say whether onnxruntime finds the counterexample unsafe too, in exact arithmetic on its outputs."""
    assert decision.inputs is not None
    session = onnxruntime.InferenceSession(compressed.read(network))
    source = session.get_inputs()[0]
    shape = [n if isinstance(n, int) else 1 for n in source.shape]
    x = decision.inputs.numpy().astype(np.float32)
    y = session.run(None, {source.name: x.reshape(shape)})[0]
    # The decimals lie in the box, and are the network's input when they are rounded to its dtype.
    decimals = [Fraction(text) for text in decision.decimals]
    assert [np.float32(float(value)) for value in decimals] == x.tolist()
    given, outputs = exact.fractions(decision.inputs), exact.fractions(torch.from_numpy(np.asarray(y)))
    return any(
        case.box.contains(decimals) and all(condition.holds(given, outputs) for condition in case.conditions)
        for case in unsafe.cases
    )


def main() -> int:
    """Run the families and print what was decided, what was wrong, and the times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="+", default=["acasxu", "mnistfc", "cifar10_resnet"])
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for each instance")
    parser.add_argument("--only", default="", help="a part of the network's or property's name")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sound", action="store_true", help="bound what rounding does, too")
    options = parser.parse_args()
    root = Path(os.environ.get("ROBUSTSUITE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "vnncomp"
    if not root.is_dir():
        raise SystemExit(f"error: {root} is absent; set ROBUSTSUITE_DATA to the folder that holds vnncomp")
    table = Table(title=f"within {options.timeout:.0f} s each, {torch.get_num_threads()} threads")
    columns = ("family", "instances", "decided", "known answers", "of them decided", "wrong", "median s")
    for column in (*columns, "decided in 2021 by the winner"):
        table.add_column(column)
    wrong = 0
    for family in options.families:
        times: list[float] = []
        total = decided = known = known_decided = wrong_here = theirs = 0
        for row in instances(root / family, options.only):
            network, specification = root / family / row["network"], root / family / row["property"]
            start = time.monotonic()
            decision = decide_files(
                network, specification, timeout=options.timeout, device=options.device, sound=options.sound
            )
            seconds = time.monotonic() - start
            answer = decision.result.value
            bad = answer in DECIDED and row["answer"] in DECIDED and answer != row["answer"]
            if decision.result is Result.SAT:
                bad |= not is_confirmed(decision, network, load_vnnlib(specification))
            total += 1
            decided += answer in DECIDED
            known += row["answer"] in DECIDED
            known_decided += row["answer"] in DECIDED and answer in DECIDED
            wrong_here += bad
            theirs += row["abcrown_2021"] in DECIDED
            if answer in DECIDED:
                times.append(seconds)
            print(
                f"{family} {row['network']} {row['property']}: {answer} in {seconds:.1f} s "
                f"(known: {row['answer']}; 2021: {row['abcrown_2021']} in {row['abcrown_2021_s']} s)"
                + (" WRONG" if bad else ""),
                file=sys.stderr,
                flush=True,
            )
        median = f"{sorted(times)[len(times) // 2]:.2f}" if times else "-"
        cells = (total, decided, known, known_decided, wrong_here, median, theirs)
        table.add_row(family, *(str(cell) for cell in cells))
        wrong += wrong_here
    Console().print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
