"""``manage.py keep_house``: clear away now what is older than it is to be kept."""

import math
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from imports.operations.retention import StorageTrouble
from product_importer.ops.retention import chores


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
        for chore in chores():
            if chore.setting and chore.keep is None:
                self.stdout.write(f"{'kept for ever':>14}  {chore.what} ({chore.setting})")
                continue
            try:
                count = chore.count() if options["dry_run"] else chore.clear(seconds=math.inf)
            except StorageTrouble as trouble:
                troubles.append(str(trouble))
                continue
            days = f" ({chore.setting}: {chore.keep.days})" if chore.keep else ""
            self.stdout.write(f"{count:>14,}  {chore.what}{days}")
        words = "would be cleared; nothing was" if options["dry_run"] else "cleared"
        self.stdout.write(f"{words:>14}")
        if troubles:
            raise CommandError(" ".join(troubles))
