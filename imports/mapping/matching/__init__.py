"""Which column is which field: by names, by values, or asked."""
