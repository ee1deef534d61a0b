"""`python -m regulars.cli`, the same command where no script is on the path."""

from regulars.cli.main import run

run()
