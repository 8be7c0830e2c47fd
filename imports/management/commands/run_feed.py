"""``manage.py run_feed NAME``: a feed's file fetched and imported now, watched to its end."""

from time import sleep
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from imports.models import FeedRun
from imports.operations.feeds.feeds import NotNow, ask_for_run, find_feed
from imports.queries.feeds import listed_runs

LOOK_SECONDS = 0.5


class Command(BaseCommand):
    help = (
        "Have a worker fetch a feed's file and import it, and wait for what comes of it. Exits 1 "
        "if that failed; exits 0 if it was applied, if there was nothing new, and if the import "
        "waits for somebody."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("feed", help="its name, SUPPLIER/NAME, or its id")
        parser.add_argument("--user", help="who asks for it; the feed's owner if not told")

    def handle(self, *args: Any, **options: Any) -> None:
        user = None
        if options["user"]:
            user = User.objects.filter(username=options["user"]).first()
            if user is None:
                raise CommandError(f"There is no user “{options['user']}”.")
        try:
            feed = find_feed(options["feed"])
        except NotNow as error:
            raise CommandError(str(error)) from error
        run = ask_for_run(feed_id=feed.pk, user=user)
        self.stdout.write(f"Run {run.pk} of {feed}")
        self._report(self._watch(run))

    def _watch(self, run: FeedRun) -> FeedRun:
        """Wait until it is over. Raises ``CommandError`` if the feed was deleted."""
        said = ""
        while True:
            found = listed_runs().filter(pk=run.pk).first()
            if found is None:
                raise CommandError("The feed was deleted.")
            if found.outcome != "running":
                return found
            if found.reason and found.reason != said:
                said = found.reason
                self.stderr.write(self.style.WARNING(f"{said} It is tried again."))
            sleep(LOOK_SECONDS)

    def _report(self, run: FeedRun) -> None:
        text = f"{run.outcome_label}. {run.reason}".strip()
        if run.job is not None:
            counts = ", ".join(f"{count:,} {name}" for name, count in run.job.parts)
            text += f" Import {run.job.pk}: {counts or 'nothing written'}."
        if run.outcome in ("failed", "stopped"):
            raise CommandError(text)
        self.stdout.write(text)
