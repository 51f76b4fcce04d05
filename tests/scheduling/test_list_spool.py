"""The spool keeps each number once, in the order of the list."""

from scheduling.list_spool import ListSpool

A, B = "+14155550101", "+14155550102"


def test_it_returns_each_number_once_with_its_first_values() -> None:
    with ListSpool() as spool:
        assert spool.add([(B, {"name": "Bob"}), (A, {}), (B, {"name": "again"})]) == [B, A]
        assert spool.add([(A, {"name": "later"})]) == []

        assert list(spool.recipients()) == [(B, {"name": "Bob"}), (A, {})]
