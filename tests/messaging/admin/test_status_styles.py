"""Each status has a tone and an icon in the console."""

from messaging.admin.status_styles import ICONS, STYLES
from messaging.states import Status


def test_every_status_has_a_style_with_an_icon_of_its_own() -> None:
    assert STYLES.keys() == set(Status)
    assert len(set(ICONS.values())) == len(Status)
