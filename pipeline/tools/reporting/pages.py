"""Pages of HTML made of a template and of the style that all pages of ns2 share."""

from __future__ import annotations

from importlib import resources
from typing import Any

_STYLE = "style.css"


def render(package: str, template: str, **values: Any) -> str:
    """A template with its values in their places; whatever they hold is escaped.

    Args:
        package: the package in whose folder the template lies.
        template: its file.
        values: what it names; and it finds the shared style as `style`.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = resources.files(__package__).joinpath(_STYLE).read_text("utf-8")
    source = resources.files(package).joinpath(template).read_text("utf-8")
    return environment.from_string(source).render(values, style=Markup(style))
