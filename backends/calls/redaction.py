"""Finds the secrets that a process knows, and removes them from texts."""

import os
import re
from typing import Any

from pydantic import BaseModel, SecretStr

SHORTEST = 8
"""Characters of the shortest value that counts as a secret: shorter ones occur in any text."""

_NAMES = re.compile(r"(^|_|API)(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_PATTERNS = (
    re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"),  # user:password@ of a URL
    re.compile(r"(?<=Bearer )\S{4,}", re.IGNORECASE),
    re.compile(r"(?<=Authorization: )[^\n\"']+", re.IGNORECASE),
)
_MASK = "***"


def is_secret(name: str) -> bool:
    """Whether a field or variable of this name is likely to hold a secret."""
    return _NAMES.search(name) is not None


class Redaction:
    """Removes secrets from texts.

    It knows the environment variables whose names end like those of keys and passwords, and it
    recognises what looks like the password in a URL or an `Authorization` header. `learn` adds the
    keys that a model holds.
    """

    def __init__(self) -> None:
        self._values = {value.strip() for name, value in os.environ.items() if is_secret(name)}

    def learn(self, model: BaseModel) -> None:
        """Add the secrets in a model's fields, and in the fields of models inside it."""
        for name in type(model).model_fields:
            value: Any = getattr(model, name)
            if isinstance(value, SecretStr):
                self._values.add(value.get_secret_value().strip())
            elif isinstance(value, BaseModel):
                self.learn(value)

    def of_known(self, text: str) -> str:
        """Remove the secrets whose values are known."""
        for value in sorted(self._values, key=len, reverse=True):
            if len(value) >= SHORTEST:
                text = text.replace(value, _MASK)
        return text

    def __call__(self, text: str) -> str:
        """Remove the known secrets, and what looks like one."""
        text = self.of_known(text)
        for pattern in _PATTERNS:
            text = pattern.sub(_MASK, text)
        return text

    def throughout(self, value: Any) -> Any:
        """Remove secrets from all texts in lists and mappings, keys included."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {self.throughout(name): self.throughout(each) for name, each in value.items()}
        return [self.throughout(each) for each in value] if isinstance(value, list) else value
