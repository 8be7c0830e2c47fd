"""What an import is held against before it writes."""
