"""Writes the folder that MLflow knows a model by: MLmodel with signature and example, code, and the list of weights."""

import base64
import io
from importlib import metadata
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from infra.logged_models.weights import LIST, WeightList
from infra.mlflow_import import import_mlflow

FLAVOR = "mvdiffusion_pp"
"""Our own flavour in MLmodel, of every model; those that draw views have `python_function` too."""
LOADER = "infra.logged_models.loader"
ROOT = Path(__file__).resolve().parents[2]
CODE = ("infra", "models")
"""Packages that the loader needs; the folder has copies, so that it loads where the project is not installed."""
PACKAGES = (
    "accelerate", "boto3", "botocore", "diffusers", "filelock", "huggingface-hub", "mlflow", "numpy",
    "opencv-python-headless", "pandas", "pillow", "psutil", "pydantic", "requests", "ruamel.yaml", "safetensors",
    "scipy", "tenacity", "torch", "transformers", "urllib3",
)  # fmt: skip
"""What that code imports, by the names of the distributions."""
EXAMPLE_SIDE = 64


def write_mlmodel(folder: Path, weights: WeightList, *, draws_views: bool, **of_model: Any) -> None:
    """Write a model's folder for MLflow, without the weights.

    Args:
        folder: The folder to make.
        weights: The list of its files.
        draws_views: Whether they are a whole pipeline, which is then given the flavour `python_function`; a network
            alone has no predictions by itself.
        of_model: Fields of `mlflow.models.Model`, such as `run_id` and `model_id`.
    """
    mlflow = import_mlflow()
    model = mlflow.models.Model(**of_model)
    model.add_flavor(FLAVOR, weights=LIST, digest=weights.digest, num_bytes=weights.num_bytes)
    if draws_views:
        mlflow.pyfunc.save_model(
            str(folder),
            loader_module=LOADER,
            code_paths=[str(ROOT / name) for name in CODE],
            mlflow_model=model,
            signature=signature(),
            input_example=(example(), {"seed": 0}),
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in PACKAGES],
        )
    else:
        folder.mkdir(parents=True)
        model.save(str(folder / "MLmodel"))
    weights.write(folder / LIST)


def signature() -> Any:
    """Return the columns and parameters that `ViewModel.predict` takes, and the columns that it returns."""
    import_mlflow()
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    views = {"object": "string", "view": "long", "azimuth_deg": "double", "elevation_deg": "double"}
    views |= {"fov_deg": "double", "distance": "double", "image": "string"}
    params = (
        ("steps", "integer", 0),
        ("guidance", "double", 1.0),
        ("seed", "long", 0),
        ("object_share", "double", 0.5),
    )
    return ModelSignature(
        inputs=Schema([ColSpec("string", "photo"), ColSpec("string", "object", required=False)]),
        outputs=Schema([ColSpec(kind, name) for name, kind in views.items()]),
        params=ParamSchema([ParamSpec(*param) for param in params]),
    )


def example() -> Any:
    """Return a table with one photo, a red ball with alpha, as the input example."""
    import pandas as pd  # with MLflow, whose import is put off as well

    image = Image.new("RGBA", (EXAMPLE_SIDE, EXAMPLE_SIDE))
    quarter = EXAMPLE_SIDE // 4
    ImageDraw.Draw(image).ellipse((quarter, quarter, 3 * quarter, 3 * quarter), fill=(200, 40, 40, 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return pd.DataFrame({"photo": [base64.b64encode(buffer.getvalue()).decode("ascii")], "object": ["ball"]})
