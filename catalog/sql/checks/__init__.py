"""Raw SQL of a look before an import writes: what is unusual, what differs, what is missing."""
