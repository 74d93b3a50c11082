"""The code that a saved pipeline brings along, so that it loads where this project is not installed."""

import importlib
import sys

BUNDLER = "models.inference.bundling"


def code_of(kind: type) -> str:
    """Return the text of a file that defines a class with all that it needs besides installed packages.

    A class that was loaded from such a file returns that file's text. The bundler is found by name, because a bundle
    does not bring it along.
    """
    module = sys.modules[kind.__module__]
    code: str = module.CODE if hasattr(module, "CODE") else importlib.import_module(BUNDLER).bundle(kind)
    return code
