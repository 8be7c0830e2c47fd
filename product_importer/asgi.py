"""The ASGI entry point that gunicorn serves."""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import reverse

from product_importer.web.body_limit import BodyLimit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "product_importer.settings")
django = get_asgi_application()

from product_importer.web.upload_permission import may_upload  # noqa: E402 (it needs the models)

application = BodyLimit(
    django,
    max_file_bytes=settings.IMPORT_MAX_FILE_SIZE,
    uploads=(reverse("job-list"), reverse("api-import-list")),
    may_upload=may_upload,
)
