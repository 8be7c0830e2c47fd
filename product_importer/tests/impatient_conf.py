"""gunicorn's settings for a web server that waits 3 seconds for the database, and not 25."""

from product_importer.gunicorn_conf import *  # noqa: F403 (first: it says what the settings read)
from product_importer.web import database

database.ANSWER_SECONDS = 3.0
