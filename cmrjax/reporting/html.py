"""Pages of one file: everything escaped, nothing from the network."""

import base64
import hashlib
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup


def _file(name: str) -> str:
    path = resources.files("cmrjax.reporting") / "templates" / name
    return path.read_text(encoding="utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def render_template(name: str, **values: Any) -> bytes:
    """A template as HTML, with our own style, script and policy.

    The policy names the hashes of our own style and script, so that a browser runs no other and
    fetches nothing, even if some text of the data were ever left unescaped.

    Args:
        name: of a file in `templates/`.
        values: what it shows.
    """
    style, script = _file("page.css"), _file("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    environment = Environment(
        loader=FunctionLoader(_file),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template(name).render(
        **values,
        # Our own two files are the only texts that are not escaped.
        style=Markup(style),
        script=Markup(script),
        policy=policy,
    )
    return html.encode()
