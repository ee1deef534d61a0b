"""The demo: 1,115 real invoices of a gift shop under a points programme - a table, one member's story, one order explained."""

from importlib.resources import as_file, files

from regulars.cli.replays import print_passages, print_report, with_progress
from regulars.cli.screen import Screen
from regulars.flows.replays import Replay, explained_member, explained_order

MEMBER = "14195"
ORDER = "501303"


def show(once: bool) -> None:
    """Replay the sample and print."""
    screen = Screen()
    here = files("regulars.cli.demo")
    with as_file(here / "programme.yaml") as programme, as_file(here / "online_retail_small.parquet") as orders:
        request = Replay(programme=programme, orders=orders)
        screen.say("A real gift shop: 200 of its customers, December 2009 to December 2010.")
        screen.say("The programme: a point for each whole pound, double on the second order; 500 points pay 5 pounds of a later order.")
        print_report(screen, with_progress(request))
        screen.say()
        screen.say(f"The story of member {MEMBER}, its beginning", "bold")
        print_passages(screen, explained_member(request, MEMBER)[:12])
        screen.say()
        screen.say(f"Order {ORDER}, line by line", "bold")
        print_passages(screen, explained_order(request, ORDER))
    screen.say()
    screen.say("Next: `regulars programme new points --to mine.yaml`, then `regulars replay --programme mine.yaml --orders YOUR.csv`.")
    if not once:
        screen.say("docs/tutorial.md leads from a CSV of your orders to an exact replay in ten minutes.")
