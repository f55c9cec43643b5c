"""The options of an export."""

from dataclasses import dataclass

from service.client.connection import Params
from service.client.selection import EVERYTHING, Selection


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`compression`: fast, small or store; None leaves the choice to the service. `manifest` adds a manifest to the
    export of one user; an export across users always has one."""

    compression: str | None = None
    selection: Selection = EVERYTHING
    manifest: bool = False

    def params(self) -> Params:
        """The API's query parameters."""
        params = list(self.selection.params())
        params += [("compression", self.compression)] if self.compression else []
        params += [("manifest", "true")] if self.manifest else []
        return params
