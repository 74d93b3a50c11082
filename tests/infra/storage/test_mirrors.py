"""Addresses are read at their mirrors, the longest beginning first and at whole parts of a path."""

from pathlib import Path

import pytest

from infra.storage.store import RemoteStore


@pytest.mark.parametrize(
    ("url", "content"),
    [
        ("https://hub.org/data/a.txt", "all"),
        ("https://hub.org/data/xl/a.txt", "xl"),
        ("https://hub.org/data/xl-more/a.txt", "more"),
    ],
)
def test_address_is_read_at_the_mirror_of_its_longest_beginning(url: str, content: str, tmp_path: Path) -> None:
    for name, text in (("all/a.txt", "all"), ("xl/a.txt", "xl"), ("all/xl-more/a.txt", "more")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    mirrors = {"https://hub.org/data": str(tmp_path / "all"), "https://hub.org/data/xl/": f"{tmp_path}/xl/"}
    RemoteStore(mirrors=mirrors).fetch(url, tmp_path / "got")
    assert (tmp_path / "got").read_text() == content


def test_file_that_a_mirror_lacks_is_named_as_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        RemoteStore(mirrors={"https://hub.org": str(tmp_path)}).fetch("https://hub.org/none", tmp_path / "got")
