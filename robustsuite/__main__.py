"""`python -m robustsuite` is the command `robustsuite`."""

import sys

from robustsuite.cli import main

if __name__ == "__main__":
    sys.exit(main())
