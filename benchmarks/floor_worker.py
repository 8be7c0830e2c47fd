"""The worker, writing without the values before: what recording for undo costs, by comparison."""

import re
import sys

from catalog.sql import upsert
from product_importer.celery_worker import main

_RECORDED = re.compile(r", recorded AS \(.*?\n\)(?=\nSELECT)", re.S)

if __name__ == "__main__":
    upsert._UPSERT, found = _RECORDED.subn("", upsert._UPSERT)
    if found != 1:
        raise SystemExit("The upsert does not look as this benchmark expects.")
    sys.exit(main())
