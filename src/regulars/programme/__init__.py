"""Decisions: the functional core. No clock, no database, no chance; the same function online, at night, in imports and in replays."""
