"""The matching page: how a file's columns are read."""
