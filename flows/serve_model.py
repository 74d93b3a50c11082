"""Serves a model over HTTP until a signal comes."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from flows.inference import inference_compute
from flows.models import resolve_model
from infra.execution.process_folder import ProcessFolder
from infra.execution.processes import signals_raise
from infra.serving.ray_serve import Serving, served
from tasks.commands.sampler import check_model
from tasks.commands.service.model import ServedModel, finish
from tasks.commands.service.options import ServiceOptions
from tasks.commands.service.service import build_service


def serve_model(options: ServiceOptions, profile: str, say: Callable[[str], None]) -> None:
    """Serve a model until a signal comes; then end what is under way and refuse what waits.

    Args:
        options: Of the command line.
        profile: Name or file of the profile that says how the networks compute.
        say: Receives what the user should read.

    Raises:
        ValueError: The model is none, or the port cannot be had.
        RuntimeError: A process does not start.
    """
    folder = resolve_model(options.model, Path.cwd(), profile)
    check_model(folder)
    compute = inference_compute(profile, options.device)
    model = ServedModel(options.model, folder.absolute(), compute, options.scheduler)
    with signals_raise(), ExitStack() as stack:
        results = ProcessFolder(Path(tempfile.gettempdir()))  # the next service removes it if this one is killed
        stack.callback(results.remove)
        serving = Serving(
            load=model.load,
            finish=finish,
            build=partial(build_service, options, results.temporary),
            host=options.host,
            port=options.port,
            replicas=options.replicas,
            finishers=options.finishers,
            gpus=1.0 if compute.device == "cuda" else 0.0,
        )
        say("starting the service ...")
        with served(serving) as service:
            say(f"photos to views: POST {service.address}/jobs\nCtrl-C ends it.")
            with suppress(KeyboardInterrupt, SystemExit):
                while True:
                    time.sleep(3600)
            say(f"stopping: what is under way has {options.stop_seconds:g} seconds ...")
            service.stop(options.stop_seconds)
