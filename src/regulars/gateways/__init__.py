"""Hands: everything that reaches outside the process, one small port each."""
