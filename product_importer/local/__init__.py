"""The whole product on one machine: embedded PostgreSQL and Valkey, web, worker and beat.

For laptops and tests only. The wheels that carry the servers are in requirements-local.txt; a
production image has neither them nor a use for this package.
"""
