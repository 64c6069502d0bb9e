"""Whether a template can be parsed, without rendering it. ImportError where there is no Jinja2."""

from __future__ import annotations

import os

from jinja2 import TemplateNotFound, TemplateSyntaxError

from basket.errors import TemplateError
from basket.template.environment import Environment, Facts, Loader


def parse(source: str) -> None:
    """TemplateError with file and line where ``source`` cannot be parsed, or be read."""
    directory, name = os.path.split(os.path.abspath(source))
    environment = Environment(Loader(directory), basket=list, facts=Facts(dict))
    try:
        environment.get_template(name)
    except TemplateSyntaxError as error:
        raise TemplateError(error.message or "cannot be parsed", file=error.filename or source, line=error.lineno) from error
    except TemplateNotFound as error:
        raise TemplateError("there is no such file", file=source) from error
    except UnicodeDecodeError as error:
        raise TemplateError("is not UTF-8", file=source) from error
    except OSError as error:
        raise TemplateError(f"cannot be read: {error.strerror or error}", file=source) from error
