"""What if: the same decisions over a past, in memory."""
