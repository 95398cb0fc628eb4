"""Settings of a run: command line over environment over YAML file over defaults."""

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from quillgraph.agents.text import parse_yaml, read_text
from quillgraph.backends.errors import ConfigError, nearest
from quillgraph.cli.session.options import SettingFields

OTHER_VARIABLES = ("QUILLGRAPH_CACHE",)
"""Variables of the package that are no setting of a run."""

_MAPPINGS = {
    "roles": '{"coder": "vllm:smollm2-135m"}',
    "node_budgets": '{"revise": "20calls,30s"}',
}
"""Settings that are mappings, with an example of each."""

_PHRASES = {
    "int_": "expected a whole number",
    "float_": "expected a number",
    "finite_": "expected a number",
    "bool_": "expected true or false",
    "string_": "expected text",
    "path_": "expected a path",
    "dict_": "expected a mapping",
    "greater_than_equal": "expected {ge:g} or more",
    "less_than_equal": "expected {le:g} or less",
    "greater_than": "expected more than {gt:g}",
}
"""Prefix of pydantic's error types to our wording."""


class Settings(SettingFields, BaseSettings):
    """Settings of a run; each field is also an option and a `QUILLGRAPH_…` variable."""

    model_config = SettingsConfigDict(env_prefix="QUILLGRAPH_", extra="forbid", frozen=True)

    @field_validator("memory", "library", "out", "record", mode="before")
    @classmethod
    def _path(cls, path: Any) -> Any:
        """Read an empty path as None, and `~` as the user's home."""
        if isinstance(path, str) and not path.strip():
            return None
        return Path(path).expanduser() if isinstance(path, str | Path) else path


def load_settings(config: Path | None, **options: Any) -> Settings:
    """Merge the options of the command line with the file and the environment.

    Args:
        config: A YAML file of settings.
        options: Options of the command line; None means not set.

    Raises:
        ConfigError: On an unknown name or a value that does not fit.
        InputError: If the file cannot be read.
    """
    _refuse_unknown_variables()
    overrides = {n: value for n, value in options.items() if value is not None and value != {}}
    # the environment fills what neither the command line nor the file sets
    values = _without_environment(_read(config))
    for name in _MAPPINGS:
        if name in overrides and isinstance(values.get(name), dict):
            overrides[name] = {**values[name], **overrides[name]}
    try:
        return Settings(**{**values, **overrides})
    except SettingsError as error:
        name = next(name for name in _MAPPINGS if f'"{name}"' in str(error))
        variable = _variable(name)
        raise ConfigError(
            f"{variable}: expected JSON like {_MAPPINGS[name]}, got {os.environ.get(variable)!r}"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            guess = nearest(name, Settings.model_fields)
            raise ConfigError(f"unknown setting {name!r} in {config}: {guess}") from error
        where = _where(name, overrides, config)
        raise ConfigError(f"{where}: {_expected(first)}, got {first['input']!r}") from error


def parse_roles(pairs: list[str], judge: str | None = None) -> dict[str, str]:
    """Parse `NAME=SPEC` options, and the judge's spec, which has its own option.

    Raises:
        ConfigError: If one has no `=`, or the judge is named twice.
    """
    roles = _parse(pairs, "--role NAME=SPEC", "coder=vllm:smollm2-135m")
    if judge is None:
        return roles
    if roles.get("judge", judge) != judge:
        raise ConfigError(
            f"expected one judge, got --judge {judge} and --role judge={roles['judge']}; leave "
            "one of them out"
        )
    return {**roles, "judge": judge}


def parse_node_budgets(pairs: list[str]) -> dict[str, str]:
    """Parse `NODE=AMOUNTS` options.

    Raises:
        ConfigError: If one has no `=`.
    """
    return _parse(pairs, "--node-budget NODE=AMOUNTS", "revise=20calls,30s")


def _parse(pairs: list[str], form: str, example: str) -> dict[str, str]:
    parsed = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name or not value:
            raise ConfigError(f"expected {form}, got {pair!r}; for example {example}")
        parsed[name.strip()] = value.strip()
    return parsed


def _expected(complaint: ErrorDetails) -> str:
    """An error of pydantic in the wording of our messages."""
    for kind, phrase in _PHRASES.items():
        if complaint["type"].startswith(kind):
            return phrase.format(**complaint.get("ctx", {}))
    message = complaint["msg"]
    return f"{message[0].lower()}{message[1:]}"


def _refuse_unknown_variables() -> None:
    known = {*map(_variable, Settings.model_fields), *OTHER_VARIABLES}
    for name in sorted(os.environ):
        if name.upper().startswith(_variable("")) and name.upper() not in known:
            raise ConfigError(f"unknown environment variable {name}: {nearest(name, known)}")


def _read(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    text = read_text(config)
    try:
        data = parse_yaml(text) or {}
    except ValueError as error:
        raise ConfigError(f"expected YAML settings in {config}: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"expected a mapping of settings in {config}, got {type(data).__name__}")
    return data


def _without_environment(data: dict[str, Any]) -> dict[str, Any]:
    """Drop a file's values that the environment sets, so that the environment wins."""
    # unknown names stay: constructing Settings refuses them
    return {name: value for name, value in data.items() if not _in_environment(name)}


def _in_environment(name: str) -> bool:
    variable = _variable(name)
    return any(each.upper() == variable for each in os.environ)


def _variable(name: str) -> str:
    return f"{Settings.model_config['env_prefix']}{name}".upper()


def _where(name: str, overrides: dict[str, Any], config: Path | None) -> str:
    """Name the source of a setting's value."""
    setting = name.split(".")[0]
    if setting in overrides:
        return f"--{setting.replace('_', '-')}"
    return _variable(setting) if _in_environment(setting) else f"{name} in {config}"
