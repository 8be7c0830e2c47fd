"""Feeds: made and changed, due, fetched, and what came of it."""
