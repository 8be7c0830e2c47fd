"""Imports some libraries without others that they load only because they find them.

``product_importer`` imports this before anything else. It takes 2 to 8 MB off each process.
"""

import os
import sys
from importlib import import_module

# What loads another, and which: a parser of C, with which each of Billiard's children makes its
# one call of the kernel (ctypes does it as well); samples of memory, and what tells greenlets
# apart where threads are all there are; YAML for messages; colours for tracebacks.
_LOADS = {
    "billiard.util": "cffi",
    "celery.bootsteps": "greenlet",
    "celery.utils.debug": "psutil",
    "celery.utils.threads": "greenlet",
    "kombu.serialization": "yaml",
    "structlog.threadlocal": "greenlet",
    "structlog.tracebacks": "rich",
}
# Where CPython looks for time zones on its own account; else it loads all of how it was built to
# learn that. Behind these folders is the package tzdata, wherever they are other ones.
_TIME_ZONES = (
    "/usr/share/zoneinfo",
    "/usr/lib/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/etc/zoneinfo",
)
os.environ.setdefault("PYTHONTZPATH", os.pathsep.join(_TIME_ZONES))

_others = {*_LOADS.values()} - sys.modules.keys()

sys.modules |= dict.fromkeys(_others)  # type: ignore[arg-type]  # None: not to be found
try:
    for _name in _LOADS:
        import_module(_name)
finally:
    for _name in _others:
        del sys.modules[_name]
