import errno
import os
from pathlib import Path

import pytest

from tasks.artifacts.atomic import atomic_file


def test_whole_file_full_disk_is_given_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: .*views.tar"), atomic_file(tmp_path / "views.tar"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


def test_whole_file_error_that_has_words_of_its_own_keeps_them(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="image file is truncated"), atomic_file(tmp_path / "views.tar"):
        raise OSError("image file is truncated (3 bytes not processed)")
