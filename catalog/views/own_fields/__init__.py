"""The pages of the fields of one's own, and their inputs in forms and filters."""
