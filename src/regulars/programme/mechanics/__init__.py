"""Mechanics: one room per system of the programme, each a policy value and pure functions; they do not know each other."""
