import pytest

from messaging.console.attached import Attached


class Row:
    pass


def test_a_value_is_attached_to_one_object_under_its_name() -> None:
    depth, row, other = Attached[int]("depth"), Row(), Row()

    depth.set(row, 3)

    assert (depth.of(row), row.depth) == (3, 3)
    with pytest.raises(AttributeError):
        depth.of(other)
