"""The names of the tasks that carry a job on (imports/tasks.py), for whoever wakes a worker."""

ADVANCE = "imports.advance"
RUN_CHUNKS = "imports.run_chunks"
TAKE_TURN = "imports.take_turn"
