"""The names of the tasks that carry work on (imports/tasks.py), for whoever wakes a worker."""

ADVANCE = "imports.advance"
HELP_READING = "imports.help_reading"
RUN_CHUNKS = "imports.run_chunks"
TAKE_TURN = "imports.take_turn"
FETCH_FEEDS = "imports.fetch_feeds"
FEEDS_QUEUE = "feeds"  # of FETCH_FEEDS alone (CELERY_TASK_ROUTES)
