import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.logged_models.weights import WeightList
from infra.versioning import (
    Change,
    Commit,
    Repository,
    commit,
    lock_entry,
    lock_key,
    out_hashes,
    places_of,
    repro_command,
)
from tests.tiny_repo import copy_repo, edit, repro


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return copy_repo(tmp_path / "repo")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which everything is up to date; read only."""
    return copy_repo(tmp_path_factory.mktemp("made") / "repo", made=True)


def test_stages_of_whole_graph_come_in_running_order(made: Path) -> None:
    stages = Repository(made).stages()
    assert [stage.name for stage in stages] == ["first", "second", "third"]
    assert stages[2].upstream == ("first", "second")
    assert stages[0].params == ("first", "seed")
    assert (stages[0].deps, stages[0].outs) == (("source.txt",), ("data/first",))
    assert stages[0].desc == "the first of three"
    assert stages[0].policy == {"retries": 1, "retry_delay_seconds": 0, "timeout_seconds": 60}


def test_places_have_the_files_of_outputs_by_their_md5(made: Path) -> None:
    (place,) = Repository(made).places()
    files = WeightList.of(made / "data/third").files
    assert files
    for file in files:
        assert (Path(place) / file.md5[:2] / file.md5[2:]).read_bytes() == (
            made / "data/third" / file.name
        ).read_bytes()


@pytest.mark.slow(seconds=2)
def test_places_name_the_default_remote_unless_it_keeps_names(tmp_path: Path) -> None:
    repo = copy_repo(tmp_path / "repo")
    config = repo / ".dvc/config"
    remote = "[core]\n    remote = store\n['remote \"store\"']\n    url = s3://bucket/dvc/\n"
    config.write_text(remote)
    assert Repository(repo).places()[1:] == ["s3://bucket/dvc/files/md5"]
    config.write_text(f"{remote}    version_aware = true\n")
    assert Repository(repo).places()[1:] == []
    assert places_of(tmp_path) == []


def test_stages_of_target_are_it_and_its_ancestors(made: Path) -> None:
    assert [stage.name for stage in Repository(made).stages(["second"])] == ["first", "second"]


def test_stages_of_unknown_target_names_the_known_ones(made: Path) -> None:
    with pytest.raises(ValueError, match=r"'thrid' is not a stage .* first, second, third"):
        Repository(made).stages(["thrid"])


def test_repository_outside_a_project_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run from the project's root"):
        Repository(tmp_path)


def test_stages_do_not_depend_on_the_working_directory(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.parent)
    repository = Repository(made)
    assert [stage.name for stage in repository.stages(["third"])] == ["first", "second", "third"]
    assert repository.changes("third") == []
    assert repository.run_key("third") == lock_key(made, "third")


def test_changes_of_stage_that_never_ran_is_one(repo: Path) -> None:
    assert Repository(repo).changes("first") == [Change("never run")]


def test_changes_agree_with_dvc_status(made: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"], cwd=made, capture_output=True, text=True, timeout=600
    )
    assert answer.stdout.strip() == "{}"
    assert [Repository(made).changes(name) for name in ("first", "second", "third")] == [[], [], []]


def test_changes_name_field_value_file_and_command(tmp_path: Path) -> None:
    repo = copy_repo(tmp_path / "repo", made=True)
    edit(repo, "sun: 1.5", "sun: 2.5")
    edit(repo, "seed: 0", "seed: 7")
    edit(repo, "{depth: 3, seconds: 0, exit: 0}\nthird", "{depth: 3, seconds: 0, exit: 0, levels: 2}\nthird")
    edit(repo, "source", "other", "source.txt")
    edit(repo, "job.py third data/third", "job.py third ./data/third", "dvc.yaml")
    (repo / "data/second/result.txt").unlink()
    (repo / "data/second").rmdir()
    repository = Repository(repo)
    assert repository.changes("first") == [
        Change("dependency", "source.txt", "modified"),
        Change("parameter", "first.light.sun", "modified", 1.5, 2.5),
        Change("parameter", "seed", "modified", 0, 7),
    ]
    assert repository.changes("second") == [
        Change("parameter", "second.levels", "new", new=2),
        Change("output", "data/second", "deleted"),
    ]
    assert repository.changes("third")[0] == Change(
        "command", old="python job.py third data/third", new="python job.py third ./data/third"
    )


@pytest.mark.slow(seconds=2)
def test_changes_of_a_very_small_number_that_stayed_are_none(tmp_path: Path) -> None:
    repo = copy_repo(tmp_path / "repo")
    edit(repo, "second: {depth: 3", "second: {depth: 1.0e-6")
    repro(repo)
    assert Repository(repo).changes("second") == []


def test_changes_answer_while_dvc_runs(repo: Path) -> None:
    edit(repo, "seconds: 0", "seconds: 10000")
    words = repro_command("first", single=True)
    process = subprocess.Popen(words, cwd=repo, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        assert "Running stage" in process.stdout.readline()
        assert Repository(repo).changes("first") == [Change("never run")]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_run_key_is_the_folder_in_dvcs_run_cache(made: Path) -> None:
    folders = {path.name for path in (made / ".dvc/cache/runs").glob("*/*")}
    repository = Repository(made)
    assert {repository.run_key(name) for name in ("first", "second", "third")} == folders
    assert {lock_key(made, name) for name in ("first", "second", "third")} == folders


@pytest.mark.slow(seconds=2)
def test_run_key_before_the_run_is_the_key_after_it(repo: Path) -> None:
    before = Repository(repo).run_key("first")
    assert lock_key(repo, "first") is None
    repro(repo, "first")
    assert before is not None
    assert lock_key(repo, "first") == before


def test_run_key_with_missing_input_is_none(repo: Path) -> None:
    assert Repository(repo).run_key("second") is None


def test_hashes_are_those_of_the_lock_file(made: Path) -> None:
    entry = yaml.safe_load((made / "dvc.lock").read_text())["stages"]["third"]
    assert lock_entry(made, "third") == entry
    assert Repository(made).dep_hashes("third") == {dep["path"]: dep["md5"] for dep in entry["deps"]}
    files = Repository(made).dep_hashes("third", with_files=True)
    assert {path: md5 for path, md5 in files.items() if path.startswith("data/second/")} == {
        path.relative_to(made).as_posix(): hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        for path in (made / "data/second").iterdir()
        if path.is_file()
    }
    assert out_hashes(made, "third") == {"data/third": entry["outs"][0]["md5"]}
    assert out_hashes(made, "fourth") == {}


@pytest.mark.slow
def test_restorable_follows_the_run_cache(tmp_path: Path) -> None:
    repo = copy_repo(tmp_path / "repo", made=True)
    edit(repo, "depth: 3", "depth: 4")
    assert not Repository(repo).is_restorable("first")
    repro(repo, "first")
    edit(repo, "depth: 4", "depth: 3")
    assert Repository(repo).is_restorable("first")


def test_restorable_when_only_the_output_is_gone_and_the_cache_has_it(tmp_path: Path) -> None:
    repo = copy_repo(tmp_path / "repo", made=True)
    (repo / "data/first/result.txt").unlink()
    (repo / "data/first").rmdir()
    assert Repository(repo).is_restorable("first")


@pytest.mark.parametrize("left", ["", "- first\n", "\0" * 100], ids=["empty", "a list", "zeros"])
def test_repository_with_a_broken_lock_file_says_how_to_mend_it(left: str, tmp_path: Path) -> None:
    repo = copy_repo(tmp_path / "repo", made=True)
    (repo / "dvc.lock").write_text(left)
    with pytest.raises(ValueError, match=r"dvc.lock is broken .* `git checkout dvc.lock`, or remove it"):
        Repository(repo)
    (repo / "dvc.lock").unlink()
    assert all(Repository(repo).is_restorable(name) for name in ("first", "second", "third"))


def test_repro_command_waits_for_the_lock_before_the_verb() -> None:
    words = repro_command("render", single=True, force=True)
    assert words[3:] == ["--wait-for-lock", "repro", "--single-item", "--force", "render"]


def test_commit_is_dirty_by_code_but_not_by_the_lock_file(repo: Path, tmp_path: Path) -> None:
    (repo / "dvc.lock").write_text("schema: '2.0'\n")
    subprocess.run(["git", "add", "dvc.lock"], cwd=repo, check=True, timeout=600)
    clean = commit(repo)
    assert len(clean.revision) == 40
    assert not clean.is_dirty
    edit(repo, "depth: 3", "depth: 4")
    assert commit(repo) == Commit(clean.revision, is_dirty=True)
    assert commit(tmp_path) == Commit("none", is_dirty=True)


TORN = {"empty": b"", "zeros": b"\0" * 50, "list": b"[]\n", "binary": b"\xff\xfe\x00a"}
SPOILT = [
    *(("dvc.lock", content, r"dvc\.lock is broken .*git checkout dvc\.lock") for content in TORN.values()),
    *(("dvc.yaml", content, r"dvc\.yaml .*git checkout dvc\.yaml") for content in TORN.values()),
    *(
        ("params.yaml", TORN[kind], r"params\.yaml cannot be read .*git checkout params\.yaml")
        for kind in ("zeros", "binary")
    ),
    (".dvc/config", TORN["zeros"], r"\.dvc/config cannot be read .*git checkout \.dvc/config"),
    (".dvcignore", TORN["binary"], r"\.dvcignore or \.gitignore in .* is not UTF-8"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), SPOILT)
@pytest.mark.slow(seconds=2)
def test_torn_file_is_named_with_its_remedy(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    root = copy_repo(tmp_path / "repo", made=True)
    (root / name).write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        Repository(root)


@pytest.mark.slow(seconds=1)
@pytest.mark.parametrize("content", TORN.values(), ids=TORN)
def test_torn_lock_files_stop_nothing(tmp_path: Path, content: bytes) -> None:
    root = copy_repo(tmp_path / "repo", made=True)
    (root / ".dvc/tmp").mkdir(exist_ok=True)
    for name in ("lock", "rwlock.lock", "btime"):
        (root / ".dvc/tmp" / name).write_bytes(content)
    repository = Repository(root)
    repository.await_others()
    repository.forget_ended_runs()
    assert repository.changes("first") == []
