"""Deeds: what the doors ask for, each told in a few steps."""
