"""Notices: who is told of what, what they say, how they are sent."""
