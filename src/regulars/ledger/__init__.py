"""Books: pure double entry, knowing nothing of rules or shops."""
