"""The command `robustsuite certify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from robustsuite.arguments import check_device
from robustsuite.errors import InvalidInput


def certify(
    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NET.onnx SPEC.vnnlib")],
    /,
    *,
    timeout: float | None = None,
    device: str = "cpu",
    seed: int = 0,
    sound: bool = False,
    results: Path | None = None,
    resume: bool = False,
) -> int:
    """Decide whether a network can do what a property calls unsafe: prints unsat, sat, unknown or timeout.

    unsat: proved that no input is unsafe. By default the proof is about the network in real numbers, up to the
    rounding that VNN-COMP's rules accept too; with --sound it holds for the network as float32 computes it.

    sat: an unsafe input was found; it is printed below, with the outputs that the network gives for it. It satisfies
    the property as it is written, exactly and with no tolerance, where VNN-COMP's rules leave one. Where onnxruntime
    is installed (it need not be), its outputs do so too. Of an input whose bounds leave no number of the network's
    dtype between them, such as X_0 = 0.1, the decimal is printed, and the network gets the number next to it.

    One CSV file of instances (network, property, timeout; file names relative to it) may be given instead: then a
    line per instance, each decided in a process of its own. All files may be gzipped.

    Example: robustsuite certify network.onnx property.vnnlib --timeout 60

    Args:
        files: an ONNX network and a VNN-LIB property, or one CSV file of instances.
        timeout: seconds for each instance; by default what the CSV file says, else 60. Starting up does not count.
        device: "cpu", "cuda", "cuda:1" ...
        seed: of the search for counterexamples.
        sound: bound what rounding does to the network, too, under the assumptions that robustsuite.bounds.passes.rounding
            lists; takes longer.
        results: CSV file to write, for a CSV of instances: network, property, result, seconds.
        resume: keep what `results` holds from an interrupted call, and decide the rest.
    """
    if len(files) == 2 and (results is not None or resume):
        raise InvalidInput("--results and --resume are for a CSV file of instances")
    if len(files) not in (1, 2):
        raise InvalidInput(
            f"{len(files)} files given; expected NET.onnx SPEC.vnnlib, or one CSV of instances"
        )
    check_device(device)
    if len(files) == 1:
        from robustsuite.commands import certificate_lists

        return certificate_lists.decide_all(
            files[0],
            timeout=timeout,
            device=device,
            seed=seed,
            sound=sound,
            results=results,
            resume=resume,
        )
    from robustsuite.commands import deciding

    seconds = 60.0 if timeout is None else timeout
    print(deciding.decide_files(*files, timeout=seconds, device=device, seed=seed, sound=sound), flush=True)
    return 0
