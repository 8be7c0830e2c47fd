"""``manage.py import_products FILE``: an import from the command line, watched to its end."""

import json
import time
from argparse import BooleanOptionalAction
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.files import File
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from imports.mapping.rules import RulesError, parse_rules
from imports.models import ImportJob
from imports.operations.jobs import Refused, start_import
from imports.queries.formats import NoFormat, NoSupplier, find_format, find_supplier
from imports.queries.progress import progress_of

LOOK_SECONDS = 0.2


class Command(BaseCommand):
    help = (
        "Import a CSV or a workbook into the catalogue, and wait for its end. Exits 1 if it "
        "failed or was cancelled. With --review, or where the changes look unusual, it stops "
        "before anything is written, shows what would change and how to apply it, and exits 0."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--user", help="whose import it is")
        parser.add_argument(
            "--mode", choices=ImportJob.Mode.values, default=ImportJob.Mode.UPSERT.value
        )
        parser.add_argument("--format", help="its id, or SUPPLIER/FORMAT: how the file is read")
        parser.add_argument(
            "--rules", metavar="JSON", help="how the file is read: docs/csv.md, “Rules”"
        )
        parser.add_argument("--supplier", help="whose file it is: its id or name")
        parser.add_argument(
            "--full-list",
            action=BooleanOptionalAction,
            help="the file is its supplier's whole list, and what it lacks is dealt with "
            "(docs/full-lists.md); or it is not, whatever its format says",
        )
        parser.add_argument(
            "--on-unclear",
            choices=["fail", "wait"],
            default="fail",
            help="whether a file that leaves a question open fails, or waits for somebody",
        )
        parser.add_argument(
            "--review", action="store_true", help="show what would change, and wait"
        )

        parser.add_argument(
            "--checks",
            choices=ImportJob.Checks.values,
            default=ImportJob.Checks.STOP.value,
            help="what to do if the changes look unusual: stop for review (default), or only warn",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        user = None
        if options["user"]:
            user = User.objects.filter(username=options["user"]).first()
            if user is None:
                raise CommandError(f"There is no user “{options['user']}”.")
        reading = self._reading(options)
        try:
            with path.open("rb") as handle:
                job = start_import(
                    file=File(handle),
                    file_name=path.name,
                    user=user,
                    mode=options["mode"],
                    review=options["review"],
                    on_unclear=options["on_unclear"],
                    **reading,
                    checks=options["checks"],
                    full_list=options["full_list"],
                )
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Import {job.pk} of {path.name}")
        self._watch(job)
        self._report(job)

    def _reading(self, options: dict[str, Any]) -> dict[str, Any]:
        """How the file is to be read. Raises ``CommandError``."""
        found: dict[str, Any] = {}
        try:
            if options["format"]:
                found["format"] = find_format(options["format"])
            if options["supplier"]:
                found["supplier"] = find_supplier(options["supplier"])
            if options["rules"]:
                found["rules"] = parse_rules(json.loads(options["rules"]))
        except json.JSONDecodeError as error:
            raise CommandError(f"--rules is no JSON: {error}.") from error
        except (NoFormat, NoSupplier, RulesError) as error:
            raise CommandError(str(error)) from error
        return found

    def _watch(self, job: ImportJob) -> None:
        with tqdm(total=100, unit="%", bar_format="{desc}: {bar} {n:.0f} % [{elapsed}]") as bar:
            while True:
                job.refresh_from_db()
                progress = progress_of(job, timezone.now())
                bar.set_description_str(progress.waiting or job.get_stage_display() or "Waiting")
                bar.update(progress.fraction * 100 - bar.n)
                if job.is_final or job.status in ImportJob.AWAITING:
                    return
                time.sleep(LOOK_SECONDS)

    def _report(self, job: ImportJob) -> None:
        for warning in job.warnings:
            self.stderr.write(self.style.WARNING(warning))
        if job.status == ImportJob.Status.AWAITING_MAPPING:
            for question in job.found["questions"]:
                self.stderr.write(self.style.WARNING(question["message"]))
            self.stdout.write(
                f"Nothing is read yet. Match the columns at /imports/{job.pk}/, or PUT the rules "
                f"to /api/v1/imports/{job.pk}/mapping/."
            )
            return
        awaits = job.status == ImportJob.Status.AWAITING_REVIEW
        for warning in job.shown["warnings"] if awaits else []:
            if warning not in job.warnings:
                self.stderr.write(self.style.WARNING(warning))
        for name, words in job.COUNT_WORDS.items():
            count = job.shown_counts[name] if awaits else getattr(job, name)
            self.stdout.write(f"{words:>12} {count:>12,}")
        self.stdout.write(f"{'total':>12} {job.total_records:>12,}")
        if job.full_list:  # products, not records: they are in no sum
            count = job.shown_counts["missing"] if awaits else job.missing
            self.stdout.write(f"{'missing':>12} {count:>12,}")
        for error in job.errors.order_by("line")[:10]:
            where = f"line {error.line}" + (f", {error.column}" if error.column else "")
            self.stderr.write(f"{where}: {error.message}")
        if awaits:
            self.stdout.write(
                f"Nothing is written yet. Look at the changes, apply or discard them at "
                f"/imports/{job.pk}/, or POST to /api/v1/imports/{job.pk}/apply/ or cancel/."
            )
        elif job.status != ImportJob.Status.COMPLETED:
            raise CommandError(job.error or f"The import is {job.status_label.lower()}.")
