"""Words: the small exact vocabulary that every other floor speaks. Imports nothing of ours."""
