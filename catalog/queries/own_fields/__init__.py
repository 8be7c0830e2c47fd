"""Fields of one's own, as they are asked for: which there are, filters, values as SQL."""
