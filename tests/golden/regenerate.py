"""Write the goldens anew: `python -m tests.golden.regenerate`. Look at tests/golden/*.png, then bump the recipe."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from render.images import contact_sheet, encode_png
from tests.golden.recipes import FOLDER, OBJECTS, named_qualities, object_digests, params, rendered


def main() -> None:
    """Objects' digests, renders, and a picture of them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        table = {"recipe": params().catalog.recipe, "sha256": object_digests(folder)}
        (FOLDER / "objects.json").write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")
        views = {family: rendered(family, folder) for family in OBJECTS}
    np.savez_compressed(FOLDER / "renders.npz", recipe=params().render.recipe, quality=named_qualities(), **views)
    images = [image for family in OBJECTS for image in views[family]]
    (FOLDER / "renders.png").write_bytes(encode_png(contact_sheet(images, columns=len(views[OBJECTS[0]]))))
    sys.stdout.write(f"wrote {FOLDER}/objects.json, renders.npz and renders.png; look at the picture\n")


if __name__ == "__main__":
    main()
