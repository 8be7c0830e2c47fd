# Before anything that it is about is imported.
import product_importer.common.lean  # noqa: F401  # isort: skip
from product_importer.celery import app as celery_app

__version__ = "1.1.0"  # here alone: pyproject.toml, /healthz and the pages read it

__all__ = ["celery_app"]
