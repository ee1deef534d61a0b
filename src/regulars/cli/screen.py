"""The screen: lines and columns that are never cut, whatever the width, and a reader who may stop reading."""

from collections.abc import Iterable, Sequence

from rich.console import Console


class Screen(Console):
    """A console that leaves a closed pipe to the command's own ending."""

    def on_broken_pipe(self) -> None:
        """See ``Screen``."""
        raise BrokenPipeError

    def say(self, text: str = "", style: str = "") -> None:
        """One line as it is, control characters made visible."""
        shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
        self.print(shown, style=style, markup=False, highlight=False, soft_wrap=True)

    def columns(self, rows: Iterable[Sequence[str]], right: bool = False) -> None:
        """Rows with their cells below each other; all cells but the first and last at the right edge where ``right``."""
        rows = [list(row) for row in rows]
        if not rows:
            return
        count = max(len(row) for row in rows)
        widths = [max(len(row[i]) if i < len(row) - 1 else 0 for row in rows) for i in range(count)]
        for row in rows:
            cells = [cell.rjust(widths[i]) if right and 0 < i < count - 1 else cell.ljust(widths[i]) for i, cell in enumerate(row)]
            self.say(("  " + "  ".join(cells)).rstrip())
