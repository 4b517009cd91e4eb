"""How a server elsewhere is asked for the vectors and scores of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from textmill.contract import EmbedOptions
from textmill.errors import InvalidInput
from textmill.folder.remote import CUT, REFUSE, Role
from textmill.providers.openai_embedding import OpenAIEmbedding
from textmill.providers.openai_wire import Retries
from textmill.providers.remote_dialect import RemoteDialect
from textmill.tasks.sides import sided

_PLAIN = Role()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What `textmill.folder.remote.Remote` says, for a model that the server calls ``name``.

    ``inputs`` texts of ``size`` bytes (0: any number) are embedded and ``documents`` ranked in one request, ``at_once`` of which are
    under way. ``encoding_field`` is empty where vectors come as numbers. ``norm`` is how vectors are scaled where a request does not
    say, None for as they come.
    """

    name: str
    dialect: RemoteDialect = field(default_factory=OpenAIEmbedding)
    inputs: int = 64
    size: int = 0
    documents: int = 1000
    at_once: int = 4
    retries: Retries = field(default_factory=Retries)
    input_field: str = ""
    dimensions_field: str = CUT
    encoding_field: str = ""
    role_field: str = ""
    role_default: str = ""
    roles: Mapping[str, Role] = field(default_factory=lambda: MappingProxyType({}))
    norm: int | None = None

    def role(self, options: EmbedOptions) -> Role:
        """The role that the texts of a call have: by its name or by the side of a search, else the default one.

        A prompt that is given as text stands in place of the role's own. Raises InvalidInput for a name that is none.
        """
        name = sided(options, self.roles).prompt_name
        if name is None or options.prompt is not None:
            return self.roles.get(self.role_default, _PLAIN)
        if name not in self.roles:
            known = ", ".join(sorted(self.roles)) or "none"
            msg = f"the model has no prompt named {name!r}; its prompts: {known}"
            raise InvalidInput(msg, param="prompt_name")
        return self.roles[name]

    def fields(self, role: Role, dimensions: int | None) -> dict[str, Any]:
        """What says the role and how many dimensions are wanted. Raises InvalidInput where the server has one length only."""
        fields: dict[str, Any] = {}
        if role.value:
            fields[self.role_field] = role.value
        if dimensions is not None and self.dimensions_field == REFUSE:
            msg = f"{self.name} has one length of vectors; leave dimensions out"
            raise InvalidInput(msg, param="dimensions")
        if dimensions is not None and self.cuts_there:
            fields[self.dimensions_field] = dimensions
        return fields

    @property
    def cuts_there(self) -> bool:
        """Whether the server gives as many dimensions as it is asked for."""
        return self.dimensions_field not in (CUT, REFUSE)
