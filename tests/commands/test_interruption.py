"""Ctrl-C: exit code 130 and one line from the first import on, also where the shell left the signal ignored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from robustsuite import interruption
from robustsuite.commands.cli import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

_INTERRUPTED_AT = """
import os, runpy, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

ignored, wanted, *sys.argv[1:] = sys.argv[1:]
if ignored == "ignored":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.meta_path.insert(0, Interrupts())
runpy.run_module("robustsuite", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("module", "line", "signal_is"),
    [
        ("tyro", "list", "heard"),
        ("tyro", "list", "ignored"),
        ("torch._C", "train digits-standard", "heard"),
        ("robustsuite.vision.recipes", "train digits-standard", "ignored"),
        ("stable_baselines3", "train cartpole-dqn", "heard"),
    ],
)
def test_ctrl_c_during_imports_is_one_line(tmp_path: Path, module: str, line: str, signal_is: str) -> None:
    command = [sys.executable, "-c", _INTERRUPTED_AT, signal_is, module, *line.split()]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 130
    assert ran.stdout == ""
    [said] = ran.stderr.splitlines()
    assert said.startswith("interrupted")


@pytest.fixture
def ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ignored")
def test_a_job_in_the_background_hears_ctrl_c(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "count", "--interrupt-at", "2"]) == 130
    assert "--resume" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_an_error_that_a_library_made_of_ctrl_c_is_an_interruption(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some importers catch every exception, and what they raise says nothing of Ctrl-C."""
    module = toy.parent / "plugins" / "toydomain.py"
    swallowed = """
try:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):
        pass
except BaseException:
    raise RecursionError("maximum recursion depth exceeded") from None
"""
    module.write_text(module.read_text().replace("\n\nRECIPES", f"\n\n{swallowed}\nRECIPES"))
    # Within the imports the process would end at once: here the domain is loaded outside of them.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interruption._State, "importing", -1)
        assert main(["train", "count"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_processes_of_the_demo_leave_ctrl_c_to_their_parent() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('went on')"
    with interruption.left_to_the_parent():
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate()
    assert (process.returncode, out) == (0, "went on\n")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_light_import() -> None:
    code = "import sys, robustsuite.__main__; print('torch' in sys.modules, 'tyro' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out == "False False\n"
    code = (
        "import robustsuite; print(robustsuite.Linf(0.1), robustsuite.bounds.crown, robustsuite.attacks.PGD)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.startswith("Linf(eps=0.1")
    assert os.linesep in out
