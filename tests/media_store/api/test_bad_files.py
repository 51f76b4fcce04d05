"""POST /media/ of every bad file: the documented response, and nothing stored."""

import pytest

from media_store.models import MediaAsset
from tests.media_store.api.conftest import upload
from tests.media_store.bad_files import CORPUS, DEFAULT_MAX_BYTES, Bad
from tests.media_store.folder import Folder
from tests.messaging.api.conftest import assert_problem, errors_of


def test_the_corpus_has_enough_files(settings) -> None:
    assert len(CORPUS) >= 30
    assert settings.MEDIA_MAX_BYTES == DEFAULT_MAX_BYTES


@pytest.mark.parametrize("bad", CORPUS.values(), ids=list(CORPUS))
def test_a_bad_file_is_refused_and_nothing_is_stored(api, folder: Folder, bad: Bad) -> None:
    response = upload(api, bad.make())

    if bad.status == 400:
        assert errors_of(response) == {("file", bad.code)}
    else:
        assert_problem(response, bad.status, bad.code)
    assert folder.is_untouched()
    assert not MediaAsset.objects.exists()
