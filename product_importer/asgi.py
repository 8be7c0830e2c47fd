"""The ASGI entry point that gunicorn serves."""

import os

import django
from django.conf import settings
from django.urls import reverse

from product_importer.web.body_limit import BodyLimit
from product_importer.web.handler import Handler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "product_importer.settings")
django.setup(set_prefix=False)

from product_importer.web.upload_permission import may_upload  # noqa: E402 (it needs the models)

application = BodyLimit(
    Handler(),
    max_file_bytes=settings.IMPORT_MAX_FILE_SIZE,
    uploads=(reverse("job-list"), reverse("api-import-list")),
    may_upload=may_upload,
)
