"""What a supplier's columns mean: rules as data, what speaks for them, and how they are run.

Pure Python, no Django. Nothing in a rule is ever executed.

model     the closed list of rules, and back to JSON
rules     parsed from JSON and checked, by themselves and against a header
evidence  what a column's values could be
values    rules and a header -> a plan that turns a record's cells into a product's values
"""
