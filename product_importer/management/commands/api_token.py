"""``manage.py api_token NAME``: a token for programs, printed once."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from product_importer.accounts.tokens import make_token
from product_importer.models import ApiToken


class Command(BaseCommand):
    help = "Make an API token for a user and print it. It is stored hashed: keep it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the user's name")
        parser.add_argument("--name", dest="label", default="manage.py", help="what it is for")
        parser.add_argument("--read-only", action="store_true", help="it may change nothing")
        parser.add_argument(
            "--expires-in-days", type=int, metavar="N", help="without: it never expires"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["name"]).first()
        if user is None:
            raise CommandError(f"There is no user “{options['name']}”.")
        days = options["expires_in_days"]
        if days is not None and not 1 <= days <= 36_500:
            raise CommandError("--expires-in-days takes 1 to 36500 days.")
        label = options["label"].strip()
        if not 1 <= len(label) <= 100:
            raise CommandError("--name takes 1 to 100 characters.")
        _, text = make_token(
            user=user,
            name=label,
            scope=ApiToken.Scope.READ if options["read_only"] else ApiToken.Scope.WRITE,
            expires_in=timedelta(days=days) if days else None,
        )
        self.stdout.write(text)
