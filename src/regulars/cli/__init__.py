"""The `regulars` command."""
