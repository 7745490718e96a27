"""What the server imports that `robustsuite.commands.certificate_lists` forks processes from; nothing else imports it.

Loading takes seconds. If the process that started the server ends meanwhile, so does the server.
"""

from __future__ import annotations

import os
import threading

_loaded = threading.Event()
_parent = os.getppid()


def _end_with_the_parent() -> None:
    while not _loaded.wait(0.2):
        if os.getppid() != _parent:
            os._exit(1)


_watch = threading.Thread(target=_end_with_the_parent, daemon=True)
_watch.start()
try:
    import robustsuite.commands.certificate_lists
    import robustsuite.commands.preloaded  # noqa: F401
finally:
    _loaded.set()
    _watch.join()  # a thread does not survive a fork; the server itself sees when its parent ends
