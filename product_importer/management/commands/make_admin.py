"""``manage.py make_admin NAME``: a superuser, unless there is one of that name."""

import os
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Create a superuser with the password in ADMIN_PASSWORD, unless the name is taken."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        if User.objects.filter(username=name).exists():
            self.stdout.write(f"{name} exists")
            return
        password = os.environ.get("ADMIN_PASSWORD", "")
        if not password:
            raise CommandError("Set ADMIN_PASSWORD to the new user's password.")
        User.objects.create_superuser(name, password=password)
        self.stdout.write(f"{name} created")
