"""Settings that a file holds: ``PARLEY_REDIS_URL_FILE`` names the file that holds ``PARLEY_REDIS_URL``.

For secrets that a container or a service manager hands over as files, so that no environment shows them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

_SUFFIX = "_FILE"
#: Far more than any key, password or URL has: whoever names a larger file named the wrong one.
MAX_BYTES = 64 * 1024


class SettingsFileError(ValueError):
    """A file that holds a setting cannot be used; the message names its variable and never its content."""


def may_be_in_file(name: str, field: FieldInfo, names: Mapping[str, FieldInfo]) -> bool:
    """Whether a setting is a secret, or an address that may hold one, and has no ``_file`` of its own."""
    if f"{name}_file" in names:
        return False
    return name.endswith("_url") or SecretStr in (field.annotation, *get_args(field.annotation))


def variables(settings: type[BaseSettings]) -> dict[str, str]:
    """The variables that name files, by the name of the setting that the file holds."""
    prefix = settings.model_config.get("env_prefix", "")
    fields = settings.model_fields
    return {
        name: f"{prefix}{name}".upper() + _SUFFIX
        for name, field in fields.items()
        if may_be_in_file(name, field, fields)
    }


def read(variable: str, path: str) -> str:
    """What the file of a variable holds, without the white space around it.

    Raises:
        SettingsFileError: it cannot be read, is empty, too large, or not text.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode().strip()
    except OSError as error:
        raise SettingsFileError(f"{variable}: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsFileError(f"{variable}: {path} is not text") from error
    if len(content) > MAX_BYTES:
        raise SettingsFileError(f"{variable}: {path} is larger than {MAX_BYTES} bytes, which no setting is")
    if not text:
        raise SettingsFileError(f"{variable}: {path} is empty")
    return text


def expanded(settings: type[BaseSettings], environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` with the values that files hold, and without the variables that name the files.

    Raises:
        SettingsFileError: a file cannot be used.
    """
    result = dict(environment)
    for variable in variables(settings).values():
        if path := result.pop(variable, None):
            result[variable.removesuffix(_SUFFIX)] = read(variable, path)
    return result


class FileSettings(PydanticBaseSettingsSource):
    """The settings that files hold; one that a variable gives as well is refused."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of one setting, if a file holds it.

        Raises:
            SettingsFileError: the file cannot be used, or the setting is given twice.
        """
        variable = variables(self.settings_cls).get(field_name)
        path = os.environ.get(variable) if variable else None
        if not variable or not path:
            return None, field_name, False
        if os.environ.get(variable.removesuffix(_SUFFIX)):
            raise SettingsFileError(
                f"{variable.removesuffix(_SUFFIX)} and {variable} are both set; keep one of them"
            )
        return read(variable, path), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The settings that files hold, by name."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}
