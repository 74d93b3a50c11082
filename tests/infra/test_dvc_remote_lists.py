"""Lists of folders in DVC's remote that name what is not there; tests/infra/test_dvc_remote.py has them in S3."""

from pathlib import Path

import pytest
from dvc.repo import Repo

from flows.__main__ import main
from infra.dvc_remote import DvcRemote
from tests.tiny_repo import copy_repo

FOLDERS = {"one": {"a": "shared", "b": "of one"}, "two": {"a": "shared", "c": "of two"}}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Two folders that share a file, pushed to a remote that is a folder."""
    root = tmp_path / "checkout"
    root.mkdir()
    repo = Repo.init(str(root), no_scm=True)
    for name, files in FOLDERS.items():
        (root / name).mkdir()
        for file, text in files.items():
            (root / name / file).write_text(text)
    repo.add([str(root / name) for name in FOLDERS])
    with repo.config.edit() as config:
        config["core"]["remote"] = "store"
        config["remote"]["store"] = {"url": str(tmp_path / "remote")}
    repo.close()
    assert Repo(str(root)).push() == 5
    return root


def objects(remote: Path) -> dict[str, Path]:
    """Return the objects of a remote by their content."""
    return {path.read_text(): path for path in (remote / "files" / "md5").rglob("*") if path.is_file()}


def test_remote_that_was_pushed_to_has_every_file_of_every_list(checkout: Path) -> None:
    check = DvcRemote(checkout).check()
    assert (check.num_lists, check.num_files, check.missing) == (2, 3, {})


def test_missing_file_of_two_lists_is_found_and_sent_where_dvc_says_that_everything_is_there(
    checkout: Path, tmp_path: Path
) -> None:
    before = objects(tmp_path / "remote")
    before["shared"].unlink()
    before["of two"].unlink()
    assert Repo(str(checkout)).push() == 0, "DVC takes for sent what is on a list"
    remote = DvcRemote(checkout, "store")
    check = remote.check()
    assert (check.num_missing, sorted(map(len, check.missing.values()))) == (2, [1, 2])
    assert remote.mend(check.missing) == {}
    assert objects(tmp_path / "remote") == before
    assert remote.check().missing == {}


def test_list_is_away_while_its_files_are_sent(checkout: Path, tmp_path: Path) -> None:
    """A mend that breaks off leaves no list that tells an untruth: here the remote takes no files."""
    before = objects(tmp_path / "remote")
    before["of one"].unlink()
    before["of one"].parent.rmdir()
    before["of one"].parent.write_text("in the way")
    remote = DvcRemote(checkout)
    missing = remote.check().missing
    with pytest.raises(ConnectionError, match=r"remote does not answer as it should: .* Not a directory"):
        remote.mend(missing)
    assert len(missing) == 1
    assert remote.check().num_lists == 1


def test_files_that_are_neither_there_nor_here_leave_the_list_and_are_named(checkout: Path, tmp_path: Path) -> None:
    before = objects(tmp_path / "remote")
    md5 = f"{before['of one'].parent.name}{before['of one'].name}"
    before["of one"].unlink()
    (checkout / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    remote = DvcRemote(checkout)
    ((name, gone),) = remote.mend(remote.check().missing).items()
    assert gone == {md5}
    assert (tmp_path / "remote" / "files" / "md5" / name[:2] / name[2:]).exists()


def test_damaged_list_that_is_not_in_the_cache_is_named_with_its_place(checkout: Path, tmp_path: Path) -> None:
    place = tmp_path / "remote" / "files" / "md5" / "00" / "12.dir"
    place.parent.mkdir(exist_ok=True)
    place.write_text('[{"md5"')
    with pytest.raises(ValueError, match=rf"damaged list of a folder, 0012.dir; remove {place} there"):
        DvcRemote(checkout).check()


def test_checkout_without_a_remote_says_how_to_add_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy_repo(tmp_path / "checkout"))
    assert main(["push"]) == 2
    assert "has no remote for `push`" in (said := capsys.readouterr().err)
    assert "dvc remote add --default NAME ADDRESS" in said


@pytest.mark.slow(seconds=4)
def test_push_says_what_was_missing_and_that_it_is_there_now(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = objects(tmp_path / "remote")
    before["of one"].unlink()
    monkeypatch.chdir(checkout)
    assert main(["push"]) == 0
    said = capfd.readouterr().out
    assert "remote lacked 1 file that 1 of its lists of folders name, as after a push that was broken off" in said
    assert said.endswith("now it has all 3 files that its 2 lists of folders name\n")
    assert objects(tmp_path / "remote") == before


@pytest.mark.slow(seconds=8)
@pytest.mark.usefixtures("s3_credentials")
def test_server_that_is_away_is_named(checkout: Path) -> None:
    with Repo(str(checkout)) as repo, repo.config.edit() as config:
        config["remote"]["store"] = {"url": "s3://bucket/dvc", "endpointurl": "http://127.0.0.1:9"}
    with pytest.raises(ConnectionError, match=r"s3://bucket/dvc does not answer as it should"):
        DvcRemote(checkout).check()
