"""Networks run by onnxruntime, where it is installed: a second opinion on what a file computes."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from robustsuite.errors import InvalidInput
from robustsuite.formats import compressed

_PROCESS = str(Path(__file__).with_name("onnxruntime_process.py"))


def onnxruntime_of(path: Path) -> Callable[[Tensor], Tensor] | None:
    """Give the network of an ONNX file (may be gzipped) as onnxruntime computes it, one input at a time.

    Returns:
        Maps an input, of any shape with as many entries as the file declares, to the flat output. None where
        onnxruntime is not installed.

    Raises:
        InvalidInput: on the first call, where onnxruntime cannot run the file, or crashes.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return None

    def run(x: Tensor) -> Tensor:
        file = compressed.find(path)
        given = io.BytesIO()
        np.save(given, x.detach().cpu().numpy())
        packed = file.suffix == ".gz"
        # What crashes onnxruntime must not take the search with it.
        done = subprocess.run(
            [sys.executable, "-P", _PROCESS, *([] if packed else [str(file.absolute())])],
            input=given.getvalue() + (compressed.read(file) if packed else b""),
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return torch.from_numpy(np.load(io.BytesIO(done.stdout))).flatten()
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        reason = f"it was killed by signal {-done.returncode}" if done.returncode < 0 else said[-1]
        raise InvalidInput(
            f"{path}: onnxruntime cannot run it, so that a counterexample is not confirmed ({reason}); "
            "mend the network, or decide it where onnxruntime is not installed"
        )

    return run
