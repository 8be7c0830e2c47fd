"""The name of the task that delivers (webhooks/tasks.py), for whoever wakes a worker."""

PUMP = "webhooks.pump"
PUMP_QUEUE = "webhooks"  # what it waits in, apart from imports
