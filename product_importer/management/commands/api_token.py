"""``manage.py api_token NAME``: a token for programs, printed once."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from knox.models import AuthToken


class Command(BaseCommand):
    help = "Make an API token for a user and print it. It is stored hashed: keep it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the user's name")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["name"]).first()
        if user is None:
            raise CommandError(f"There is no user “{options['name']}”.")
        _, token = AuthToken.objects.create(user)
        self.stdout.write(token)
