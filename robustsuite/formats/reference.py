"""Networks run by onnxruntime, where it is installed: a second opinion on what a file computes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from robustsuite.errors import InvalidInput
from robustsuite.formats import compressed


def onnxruntime_of(path: Path) -> Callable[[Tensor], Tensor] | None:
    """Give the network of an ONNX file (may be gzipped) as onnxruntime computes it, one input at a time.

    Returns:
        Maps an input, of any shape with as many entries as the file declares, to the flat output. None where
        onnxruntime is not installed.

    Raises:
        InvalidInput: on the first call, where onnxruntime cannot run the file.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return None

    def run(x: Tensor) -> Tensor:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        try:
            file = compressed.find(path)
            # From its path, so that weights in files beside it are found.
            source = str(file) if file.suffix != ".gz" else compressed.read(file)
            session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
            entry = session.get_inputs()[0]
            shape = [length if isinstance(length, int) and length > 0 else 1 for length in entry.shape]
            result = session.run(None, {entry.name: x.detach().cpu().reshape(shape).numpy()})[0]
            return torch.from_numpy(result).flatten()
        except InvalidInput:
            raise
        except Exception as error:  # its errors have no common base but RuntimeError's siblings
            reason = " ".join(str(error).split())[:200]
            raise InvalidInput(
                f"{path}: onnxruntime cannot run it, so that a counterexample is not confirmed ({reason}); "
                "mend the network, or decide it where onnxruntime is not installed"
            ) from error

    return run
