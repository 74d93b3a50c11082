"""What the report says of items that are missing or flagged."""

from tasks.report.ledger import StageLedger, count_reasons

COUNTS = {"done": 2, "rejected": 3, "failed": 0}


def test_reasons_that_differ_in_numbers_only_are_counted_together() -> None:
    counted = {"score 4.2 < 5.0": 2, "broken file": 3, "score 3.15 < 5.0": 2}
    assert count_reasons(counted) == (("score … < …", 4), ("broken file", 3))


def test_gates_count_views_and_objects() -> None:
    flags = (("a", "clipped", ("t00", "t01")), ("a", "black", ("c00",)), ("b", "clipped", ("t07",)))
    assert StageLedger("render", COUNTS, (), (), flags).gates == [("black", 1, 1), ("clipped", 3, 2)]
