"""What a supplier's columns mean: rules as data, what speaks for them, and how they are run.

Pure Python, no Django. Nothing in a rule is ever executed.

model      the closed list of rules, and back to JSON
rules      parsed from JSON and checked, by themselves (rule_parts) and against a header
values     rules and a header -> a plan that turns a record's cells into a product's values; own
           fields, prices, and the quick ways of plain records are parts of it
cells      what a cell says without any rule
matching   columns -> rules, or questions: choosing by names, settling by values, telling of it
questions  what only a person can settle
formats    a format's rules against the columns of a file at hand
ready_made   formats of well-known shops; exchange: a format as a file
"""
