"""``manage.py keep_house``: clear away now what is older than it is to be kept."""

import math
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from imports.operations.retention import StorageTrouble
from product_importer.ops.retention import retained_kinds


class Command(BaseCommand):
    help = (
        "Clear away now what is older than the settings KEEP_..._DAYS say, and print what was "
        "cleared. Beat has the same done every ten minutes, a few seconds of it at a time. Exits "
        "1 if a file could not be deleted."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="only count what would be cleared"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        troubles = []
        for kind in retained_kinds():
            if kind.setting and kind.keep is None:
                self.stdout.write(f"{'kept for ever':>14}  {kind.what} ({kind.setting})")
                continue
            try:
                count = kind.count() if options["dry_run"] else kind.clear(seconds=math.inf)
            except StorageTrouble as trouble:
                troubles.append(str(trouble))
                continue
            days = f" ({kind.setting}: {kind.keep.days})" if kind.keep else ""
            self.stdout.write(f"{count:>14,}  {kind.what}{days}")
        words = "would be cleared; nothing was" if options["dry_run"] else "cleared"
        self.stdout.write(f"{words:>14}")
        if troubles:
            raise CommandError(" ".join(troubles))
