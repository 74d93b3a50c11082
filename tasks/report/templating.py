"""What fills HTML templates here."""

from jinja2 import BaseLoader, Environment, StrictUndefined

from tasks.report.words import counted


def escaping_environment(loader: BaseLoader) -> Environment:
    """Return what fills templates: text that looks like markup is escaped, and an unknown name is an error."""
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["counted"] = counted
    return environment
