"""The product's settings with one more address: ``SELECT 1`` over HTTP, the floor of all pages."""

from product_importer.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.floor_urls"
