"""For all tests: threads of OpenMP do not spin while they wait, as in a stage's process (flows/__main__.py); DVC sends
nothing home; and temporary files, also those of processes that a test kills, lie where pytest removes them."""

import os
import tempfile
from collections.abc import Iterator

import pytest

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ["DVC_NO_ANALYTICS"] = "1"


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder / "torchinductor"))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield
