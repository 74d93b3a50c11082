"""Lets coverage's tracer rest while code of others runs, of which no line is counted.

Python 3.11 takes three times as long for every line of Python under a tracer, also where the tracer looks for nothing
(infra/LOG.md): importing a package, parsing YAML, asking MLflow and DVC would cost tests more than what they test. A
function of ours that such code calls back would not be measured.
"""

import functools
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from types import FunctionType, ModuleType
from typing import Any

ENTRIES = {
    "yaml": ("load", "safe_load", "safe_dump"),
    "ruamel.yaml.main": ("YAML.load",),
    "mlflow.tracking.client": ("MlflowClient.*",),
    "dvc.repo": ("Repo.__init__",),
    "matplotlib.figure": ("Figure.savefig",),
    "jinja2.environment": ("Environment.get_template",),
    "boto3.session": ("Session.__init__", "Session.client"),
    "socketserver": ("BaseServer.serve_forever", "ThreadingMixIn.process_request_thread"),
}
"""Functions and methods that run untraced, by module; each is slow and calls nothing of ours. A star: all.

Servers of tests, moto's above all, answer in threads of their own.
"""
PLACE = "/site-packages/"


def install() -> None:
    """Run the modules of other packages untraced from now on when they are imported, and ENTRIES when called."""
    execute = SourceFileLoader.exec_module
    execute_untraced = untraced(execute)

    def exec_module(loader: SourceFileLoader, module: ModuleType) -> None:
        (execute_untraced if PLACE in loader.path else execute)(loader, module)
        _wrap(module)

    SourceFileLoader.exec_module = exec_module  # type: ignore[assignment, method-assign]
    for name in ENTRIES.keys() & sys.modules.keys():
        _wrap(sys.modules[name])


def untraced(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return `call`, during which coverage notes nothing in its thread; other tracers (debuggers) go on."""

    @functools.wraps(call)
    def quiet(*args: Any, **kwargs: Any) -> Any:
        tracer = sys.gettrace()
        if not type(tracer).__module__.startswith("coverage"):
            return call(*args, **kwargs)
        sys.settrace(None)
        try:
            return call(*args, **kwargs)
        finally:
            sys.settrace(tracer)

    return quiet


def _wrap(module: ModuleType) -> None:
    for path in ENTRIES.get(module.__name__, ()):
        *outer, name = path.split(".")
        holder = functools.reduce(getattr, outer, module)
        for key in list(vars(holder)) if name == "*" else [name]:
            if isinstance(call := vars(holder)[key], FunctionType):
                setattr(holder, key, untraced(call))
