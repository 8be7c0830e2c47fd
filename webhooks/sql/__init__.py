"""The raw SQL of the webhooks, by what it is for.

Needs PostgreSQL 15 or later. Moments come as parameters (the caller's clock), so that a test
can stop it.
"""
