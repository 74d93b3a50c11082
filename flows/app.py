"""The application of the command line, to which the modules of `flows.verbs` add their verbs."""

import typer

PROGRAM = "python -m flows"
EXAMPLES = """\
\b
Examples:
  python -m flows plan                              what would run, and why
  python -m flows plan --cost                       hours, disk and money of a whole run
  python -m flows run                               make everything that is stale
  python -m flows run render --set render.quality=draft
  python -m flows look path/to/objects              how they stand, before anything is rendered
  python -m flows sample --model models_out/stage3 photo.png --out drawn
  python -m flows page                              the same in a browser
  python -m flows browse data                       look at objects, failures, licences
  python -m flows serve-model --model models_out/stage3   the same over HTTP
  python -m flows score outputs --layout syncdreamer --name syncdreamer
  python -m flows score-model models:/mvdpp@champion    a model, on the test sets
  python -m flows export data/views --layout huggingface --out hub
  python -m flows publish models_out/stage3 hub:me/ducks
  python -m flows aesthetic-scores --help           scores of your own objects, computed from their images
  python -m flows export-selection list.csv         what was selected, for select.list elsewhere
  python -m flows dataset-card data/views card      licences and authors of rendered views
  python -m flows promote --dry-run                 is the new model better than the champion?
  python -m flows status                            how each stage ended
  python -m flows doctor                            is this machine ready?
  python -m flows serve                             Prefect: deployments, schedule, retries
  python -m flows ui                                browse runs (MLflow) and flows (Prefect)

\b
Environment:
  MVDPP_PROFILE   where and how fast: a name in infra/profiles/ or a YAML file (default: laptop)
  MVDPP_NOTIFY    Prefect block that `serve` tells of failed and late runs, such as slack-webhook/team
  HF_TOKEN        token of an account at the hub: more requests, gated weights and data sets
"""
app = typer.Typer(
    help="MVDiffusion++ from a catalog of 3D objects to a trained, evaluated model.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich costs as much time as everything else here
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def say(text: str) -> None:
    """Print a line at once, also where the output is no terminal."""
    print(text, flush=True)
