"""The name of the task that delivers (webhooks/tasks.py), for whoever wakes a worker."""

DISPATCH = "webhooks.pump"
DISPATCH_QUEUE = "webhooks"  # what it waits in, apart from imports
