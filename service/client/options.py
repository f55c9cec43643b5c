"""What can be chosen about an export."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`compression`: fast, small or store; None leaves the choice to the service."""

    compression: str | None = None

    def params(self) -> list[tuple[str, str]]:
        """As the API's query parameters."""
        return [("compression", self.compression)] if self.compression else []
