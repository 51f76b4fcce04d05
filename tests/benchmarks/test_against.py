import subprocess
from pathlib import Path

import pytest

from benchmarks import against


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits: the file `version` has 1 in the first and 2 in the second."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.setattr(against, "HERE", folder)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set while a hook runs the tests
        monkeypatch.delenv(name, raising=False)
    git(folder, "init", "--quiet")
    for number in "12":
        (folder / "version").write_text(number)
        git(folder, "add", ".")
        git(folder, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", number)
    return folder


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_an_older_revision_is_beside_and_removed_at_the_end(repository: Path) -> None:
    with against.checkout("HEAD~1") as older:
        assert (older.folder / "version").read_text() == "1"
        assert (repository / "version").read_text() == "2"
        assert older.revision == git(repository, "rev-parse", "--short", "HEAD~1")
        assert older.environment["PYTHONPATH"] == str(older.folder)

    assert not older.folder.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_it_is_also_removed_after_a_failure(repository: Path) -> None:
    with pytest.raises(KeyboardInterrupt), against.checkout("HEAD"):
        raise KeyboardInterrupt

    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_an_unknown_revision_is_an_error(repository: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError), against.checkout("none"):
        pytest.fail("there is no such revision")


def test_the_current_revision_says_when_files_have_changed(repository: Path) -> None:
    head = git(repository, "rev-parse", "--short", "HEAD")
    assert against.current() == against.Checkout(repository, head)

    (repository / "version").write_text("3")

    assert against.current() == against.Checkout(repository, f"{head}+")
