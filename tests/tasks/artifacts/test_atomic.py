import errno
import os
from pathlib import Path

import pytest

from tasks.artifacts.atomic import atomic_file, write_bytes


def test_whole_file_full_disk_is_given_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: .*views.tar"), atomic_file(tmp_path / "views.tar"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


def test_whole_file_error_that_has_words_of_its_own_keeps_them(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="image file is truncated"), atomic_file(tmp_path / "views.tar"):
        raise OSError("image file is truncated (3 bytes not processed)")


@pytest.mark.parametrize("name", ["x" * 251 + ".png", "椅" * 83 + ".png"])
def test_write_of_a_file_with_the_longest_name_is_whole(tmp_path: Path, name: str) -> None:
    write_bytes(tmp_path / name, b"1")
    assert [path.name for path in tmp_path.iterdir()] == [name]
