"""Categories: what goes first, and what may be told to a carrier."""

import pytest

from messaging.categories import MAX_PARAMETER, MAX_PARAMETERS, InvalidParameters, check_parameters, priority_of

BAD_PARAMETERS = {
    "too many": {f"p{number}": "x" for number in range(MAX_PARAMETERS + 1)},
    "a name of digits": {"1st": "x"},
    "an empty name": {"": "x"},
    "a long name": {"n" * 41: "x"},
    "a name with a dot": {"a.b": "x"},
    "a name that is no text": {1: "x"},
    "an empty value": {"entity_id": ""},
    "a long value": {"entity_id": "x" * (MAX_PARAMETER + 1)},
    "a number": {"entity_id": 1},
    "a line break": {"entity_id": "1\n2"},
    "a NUL": {"entity_id": "1\x00"},
    "half a character": {"entity_id": "\ud83d"},
}


def test_one_time_passwords_and_emergencies_go_first_and_runs_of_schedules_last() -> None:
    order = {
        (category, is_bulk): priority_of(category, is_bulk=is_bulk)
        for category in ("transactional", "otp", "marketing", "emergency")
        for is_bulk in (False, True)
    }

    assert order == {
        ("otp", False): 0,
        ("emergency", False): 0,
        ("transactional", False): 1,
        ("marketing", False): 1,
        ("otp", True): 1,
        ("emergency", True): 1,
        ("transactional", True): 2,
        ("marketing", True): 2,
    }


def test_parameters_are_taken_as_they_are() -> None:
    given = {"entity_id": "1101", "_b2": "é" * MAX_PARAMETER}

    assert check_parameters(given) == given
    assert check_parameters({}) == {}


@pytest.mark.parametrize("given", BAD_PARAMETERS.values(), ids=BAD_PARAMETERS)
def test_other_parameters_are_refused(given) -> None:
    with pytest.raises(InvalidParameters):
        check_parameters(given)
