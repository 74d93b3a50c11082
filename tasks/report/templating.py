"""What fills HTML templates here."""

from jinja2 import BaseLoader, Environment, StrictUndefined


def escaping_environment(loader: BaseLoader) -> Environment:
    """Return what fills templates: text that looks like markup is escaped, and an unknown name is an error."""
    return Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
