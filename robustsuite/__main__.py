"""The command `robustsuite`, also as `python -m robustsuite`: answers Ctrl-C before anything heavy is imported."""

from __future__ import annotations

import sys

from robustsuite import interruption


def main() -> int:
    """Run the command line and give its exit code. See `robustsuite.commands.cli.main`."""
    with interruption.answered(to_the_end=True):
        try:
            with interruption.importing():
                from robustsuite.commands import cli
            return cli.main()
        except KeyboardInterrupt:  # between the lines of `cli.main`, which says it itself
            return interruption.told()


if __name__ == "__main__":
    sys.exit(main())
