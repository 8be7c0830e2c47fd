"""``manage.py bucket_cors ORIGIN``: pages of the site may send files straight to the bucket."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from imports.files import multipart


class Command(BaseCommand):
    help = (
        "Set two rules of the bucket UPLOADS_BUCKET: pages of these addresses may send parts of "
        "files to it, and it throws unfinished uploads away after two days. Other rules stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("origin", nargs="+", help="such as https://shop.example.com")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.UPLOADS_BUCKET:
            raise CommandError("No bucket is set. Set UPLOADS_BUCKET and the AWS_* variables.")
        for origin in options["origin"]:
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise CommandError(
                    f"“{origin}” is not the address of a site. Write it as "
                    "https://shop.example.com, without a slash or anything else at its end."
                )
        try:
            multipart.set_rules(options["origin"])
        except multipart.BucketAway as error:
            raise CommandError(
                f"The bucket did not take the rules: {error.__cause__}. Set them by hand "
                "(docs/uploads.md)."
            ) from error
        self.stdout.write(
            f"Pages of {', '.join(options['origin'])} may send files to {multipart.origin()}."
        )
