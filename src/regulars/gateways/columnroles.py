"""Columns: which column of an order file plays which role, by what was said and by the names that shops give them."""

import unicodedata
from pathlib import Path

from regulars.kernel.errors import Invalid, Problem

ROLES: dict[str, tuple[str, str]] = {
    "member": (
        "who bought: customer number, e-mail, card",
        "customer_id customer customerid customer_no customer_number member member_id client client_id user user_id buyer buyer_id email"
        " customer_email e_mail klient klient_id id_klienta zakaznik id_zakaznika cust_id cust shopper loyalty_number"
        " клиент код_клиента покупатель клієнт код_клієнта покупець",
    ),
    "order": (
        "the order's own number; without it, all lines of a customer at one time are one order",
        "order_id order invoice invoice_no invoiceno invoice_id order_no order_number ordernumber transaction transaction_id receipt"
        " receipt_no basket basket_id zamowienie nr_zamowienia numer_zamowienia id_zamowienia objednavka cislo_objednavky"
        " заказ номер_заказа замовлення номер_замовлення",
    ),
    "time": (
        "when",
        "invoice_date invoicedate invoice_ts order_date orderdate ordered_at placed_at created_at date datetime timestamp ts time"
        " purchase_date purchased_at order_time data data_zamowienia datum datum_objednavky дата дата_заказа дата_замовлення",
    ),
    "sku": (
        "which good",
        "sku stock_code stockcode product product_id productid item item_id article product_code code ean variant_id"
        " lineitem_sku produkt kod kod_produktu zbozi kod_zbozi товар артикул код_товара код_товару",
    ),
    "quantity": (
        "how many pieces (1 without it)",
        "quantity qty units pieces count item_quantity lineitem_quantity ilosc mnozstvi pocet количество кількість",
    ),
    "price": (
        "price of one piece",
        "unit_price unitprice price item_price price_each price_per_unit lineitem_price cena cena_jednostkowa cena_za_kus цена ціна",
    ),
    "amount": (
        "price of the whole line, where there is no price of one piece",
        "amount line_total total line_amount value sum revenue sales total_price gross subtotal spend kwota wartosc castka сумма сума",
    ),
    "category": (
        "categories of the good, divided by |",
        "category categories product_category department kategoria kategorie категория категорія",
    ),
    "channel": ("where it was sold", "channel sales_channel store shop kanal"),
    "country": ("country of the order", "country country_code kraj zeme"),
    "currency": ("currency of the order", "currency currency_code waluta mena валюта"),
    "kind": ("goods, delivery, fee or gift_card", "line_kind line_type kind"),
}
"""The roles that a column may play: a sentence, and the names by which it is recognised."""

Columns = dict[str, str]
"""Which column of the file plays which role, as ``{"member": "customer_id"}``."""


def find_columns(path: Path, fields: dict[str, str], overrides: Columns) -> Columns:
    """The columns of a file by role: what was said, then what their names say. Raises ``Invalid``."""
    for role, name in overrides.items():
        if role not in ROLES:
            raise Invalid(Problem(f"column {role}", "there is no such role", f"roles: {', '.join(ROLES)}"))
        if name not in fields:
            raise Invalid(Problem(f"column {role}={name}", f"{path} has no column {name!r}", f"its columns: {', '.join(fields)}"))
    if "price" in overrides and "amount" in overrides:
        raise Invalid(Problem("column amount", "a line has a `price` of one piece or an `amount`, not both", "keep one of the two"))
    if twice := next((name for name in overrides.values() if list(overrides.values()).count(name) > 1), None):
        raise Invalid(Problem("column", f"{twice!r} cannot play two roles", "a column plays one role"))
    plain = {folded(name): name for name in reversed(fields)}
    roles = dict(overrides)
    taken = set(roles.values())
    for role, (_, names) in ROLES.items():
        for known in () if role in roles else names.split():
            found = plain.get(folded(known))
            if found is not None and found not in taken:
                roles[role] = found
                taken.add(found)
                break
    if "price" in roles and "amount" in roles:
        del roles["price" if "amount" in overrides else "amount"]
    missing = [role for role in ("member", "time") if role not in roles]
    if "price" not in roles and "amount" not in roles:
        missing.append("price")
    if missing:
        raise Invalid(
            *(
                Problem(
                    str(path),
                    f"no column is recognised as `{role}` ({ROLES[role][0]})",
                    f"say --column {role}=NAME; the file's columns: {', '.join(fields)}",
                )
                for role in missing
            )
        )
    return roles


def folded(name: str) -> str:
    """``name`` without case, accents, spaces and marks: `Číslo objednávky`, `cislo_objednavky` and `CisloObjednavky` are one."""
    bare = unicodedata.normalize("NFKD", name.replace("ł", "l").replace("Ł", "l")).lower()
    return "".join(sign for sign in bare if sign.isalnum())
