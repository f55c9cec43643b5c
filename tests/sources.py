"""The package's source, for tests that read it."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "service"
MODULES = sorted(path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py"))


def source(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text())
