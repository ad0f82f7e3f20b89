"""What no stack of this project may ask for, as rules over its resources. Pure.

`rules` has the rules, `model` their nouns, `destruction` finds what a migration takes away. Called by the policy pack
in `policy/` on the Pulumi CLI, and by `embedded.policing` on the embedded engine: the same functions for both.
"""
