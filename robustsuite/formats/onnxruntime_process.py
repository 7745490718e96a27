"""Run a network in onnxruntime, in a process that may crash: a script, apart from the package, so that it starts at once.

Reads the input as a .npy array from the standard input, then the network itself where no path to it is given as an
argument; writes the first output as a .npy array to the standard output.
"""

from __future__ import annotations

import io
import sys

import numpy as np
import onnxruntime


def main() -> None:
    """Run it; an error is its last line on the standard error."""
    given = io.BytesIO(sys.stdin.buffer.read())
    x = np.load(given)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # From its path, so that weights in files beside it are found.
    source = sys.argv[1] if len(sys.argv) > 1 else given.read()
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        shape = [length if isinstance(length, int) and length > 0 else 1 for length in entry.shape]
        (result, *_) = session.run(None, {entry.name: x.reshape(shape)})
        written = io.BytesIO()
        np.save(written, np.asarray(result))
    except Exception as error:  # noqa: BLE001  its errors have no common base
        sys.exit(" ".join(str(error).split())[:200])
    sys.stdout.buffer.write(written.getvalue())


if __name__ == "__main__":
    main()
