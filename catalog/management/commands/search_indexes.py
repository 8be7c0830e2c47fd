"""``manage.py search_indexes build|drop|show``: indexes that only a very large catalogue wants."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from catalog.sql import upsert


class Command(BaseCommand):
    help = (
        "Build, drop or show the optional indexes for searching and sorting a very large "
        "catalogue. They make every import slower (docs/decisions/0010-browsing.md); nothing "
        "needs them. Building reads the catalogue and locks nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["build", "drop", "show"])

    def handle(self, *args: Any, **options: Any) -> None:
        with connection.cursor() as cursor:
            if options["act"] == "build":
                if not upsert.enable_trigrams(cursor):
                    raise CommandError(
                        "This PostgreSQL does not have the extension pg_trgm, or you may not "
                        "create it. Install the contrib package of the server, or ask its "
                        "administrator for CREATE EXTENSION pg_trgm. Nothing was changed."
                    )
                for name in upsert.SEARCH_INDEXES:
                    self.stdout.write(f"building {name} ...")
                    upsert.build_search_index(cursor, name)
            elif options["act"] == "drop":
                upsert.drop_search_indexes(cursor)
            found = upsert.search_indexes(cursor)
        for name in upsert.SEARCH_INDEXES:
            self.stdout.write(f"{name}: {found.get(name, 'not there')}")
