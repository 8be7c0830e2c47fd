"""What a supplier's columns mean: rules as data, what speaks for them, and how they are run.

Pure Python, no Django. Nothing in a rule is ever executed.

rules     the closed list of rules: parsed from JSON, checked, written back
evidence  what a column's values could be
values    rules and a header -> a plan that turns a record's cells into a product's values
"""
