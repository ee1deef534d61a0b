"""A second reading of the rules, from the documentation alone: what an order deserves, in plain fractions.

Invariant: nothing here is shared with the engine. A feature that is not understood is named, never guessed.
"""
