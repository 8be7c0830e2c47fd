"""The product's settings where feeds trust one more authority: that of ``feed_servers``."""

import os

import certifi

from product_importer.settings import *  # noqa: F403

certifi.where = lambda: os.environ["BENCHMARK_CA_FILE"]
