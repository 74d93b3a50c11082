"""`mlflow.pyfunc.load_model` on a logged model of a run: photos in a table in, views in a table out."""

import base64
import io
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from infra.logged_models.mlmodel import CODE, LOADER, PACKAGES, example
from infra.mlflow_import import import_mlflow
from infra.tracking import TrackingStore
from models.network.noise import build_scheduler
from tests.models.toy_models import NOISE, toy_pipeline
from tests.project_copy import ROOT

pytestmark = pytest.mark.slow(seconds=5)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def uri(root: Path) -> str:
    """Of a toy model, in the run that logged it."""
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(root / "stage3")
    with TrackingStore(root, None).run("train-stage3", tags={}, params={}) as tracker:
        tracker.model(root / "stage3", "stage3")
    return f"runs:/{tracker.run_id}/stage3"


@pytest.fixture(scope="module")
def model(uri: str, root: Path) -> Iterator[Any]:
    mlflow = import_mlflow()
    mlflow.set_tracking_uri(TrackingStore(root, None).uri)
    yield mlflow.pyfunc.load_model(uri)
    mlflow.set_tracking_uri(None)


def photo(colour: tuple[int, int, int], alpha: int = 255) -> str:
    image = Image.new("RGBA", (32, 32))
    image.paste((*colour, alpha), (8, 8, 24, 24))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_loaded_model_draws_the_views_of_each_object(model: Any) -> None:
    table = pd.DataFrame(
        {"object": ["cup", "car", "cup"], "photo": [photo((200, 0, 0)), photo((0, 200, 0)), photo((0, 0, 200))]}
    )
    views = model.predict(table, params={"steps": 2, "seed": 1})
    assert views["object"].tolist() == ["cup"] * 8 + ["car"] * 8
    assert views["view"].tolist() == list(range(8)) * 2
    assert views["azimuth_deg"].tolist()[:4] == [0, 90, 180, 270]
    assert set(views["elevation_deg"]) == {0.0, 30.0}
    assert set(views["fov_deg"]) == {60.0}
    images = [Image.open(io.BytesIO(base64.b64decode(text))) for text in views["image"]]
    assert {(image.mode, image.size) for image in images} == {("RGBA", (16, 16))}
    alone = model.predict(table[table["object"] == "car"][["photo"]], params={"steps": 2, "seed": 1})
    assert alone["image"].tolist() == views["image"].tolist()[8:], "rows without an object show one"
    assert model.predict(table, params={"steps": 2, "seed": 2})["image"].tolist() != views["image"].tolist()


def test_logged_model_has_signature_example_and_pins(model: Any) -> None:
    signature = model.metadata.signature
    assert signature.inputs.input_names() == ["photo", "object"]
    assert [column.name for column in signature.inputs.inputs if not column.required] == ["object"]
    assert signature.outputs.input_names()[:4] == ["object", "view", "azimuth_deg", "elevation_deg"]
    assert model.input_example.equals(example())
    assert {"python_function", "mvdiffusion_pp"} <= set(model.metadata.flavors)
    views = model.predict(model.input_example, params={"steps": 1})
    assert signature.outputs.input_names() == list(views.columns)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "not base64!",
            "the photo of row 1 is no base64 (Only base64 data is allowed); give the file's bytes in base64",
        ),
        ("data:image/svg+xml,<svg/>", "the photo of row 1 is a data: URL that is not in base64"),
        (base64.b64encode(b"no picture").decode(), "the photo of row 1 is no image that can be read; JPEG, PNG"),
        (
            base64.b64encode(base64.b64decode(photo((1, 2, 3)))[:60]).decode(),
            "the photo of row 1 is damaged or cut off",
        ),
        ("", "row 1 has no photo: the column 'photo' is the file's bytes in base64"),
        (photo((1, 2, 3), alpha=0), "object 'object': image 1 of object 0: the mask covers 0 %"),
    ],
    ids=["letters", "URL", "text", "torn", "empty", "clear"],
)
def test_photo_that_cannot_be_used_is_named_by_its_row(model: Any, text: str, sentence: str) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=re.escape(sentence)) as failure:
        model.predict(pd.DataFrame({"photo": [photo((200, 0, 0)), text]}), params={"steps": 1})
    assert failure.value.get_http_status_code() == 400


def test_photo_in_base64_of_several_lines_is_the_same_photo(model: Any) -> None:
    text = photo((200, 0, 0))
    broken = base64.encodebytes(base64.b64decode(text)).decode()
    assert "\n" in broken.strip()
    forms = (text, broken, broken.replace("\n", "\r\n"), f"DATA:image/png;base64,{text}")
    views = [model.predict(pd.DataFrame({"photo": [form]}), params={"steps": 1})["image"].tolist() for form in forms]
    assert views[0] == views[1] == views[2] == views[3]


def test_more_photos_than_the_model_takes_and_no_row_are_refused(model: Any) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="an object has 4 images; the model takes from 1 to 3"):
        model.predict(pd.DataFrame({"photo": [photo((200, 0, 0))] * 4}))
    with pytest.raises(MlflowException, match="the table has no row; it needs one per photo"):
        model.predict(pd.DataFrame({"photo": np.array([], dtype=str)}))


def test_packages_that_the_loader_imports_are_required() -> None:
    modules, packages, waiting = set(), set(), [LOADER, "infra.storage.s3_remote"]
    while waiting:
        module = waiting.pop()
        path = ROOT / f"{module.replace('.', '/')}.py"
        if module in modules or not path.exists():
            continue
        modules.add(module)
        for found in re.findall(r"^(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE):
            if found.split(".")[0] in CODE:
                waiting.append(found)
            else:
                packages.add(found.split(".")[0])
    assert not {"flows", "tasks", "render"} & packages, "the folder has no copy of them"
    named = metadata.packages_distributions()
    of_others = [{name.lower().replace("_", "-") for name in named[top]} for top in packages if top in named]
    assert {"torch", "diffusers", "boto3"} <= set().union(*of_others)
    assert [names for names in of_others if not names & set(PACKAGES)] == []
