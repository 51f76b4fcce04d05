"""The backend in docs/writing-a-backend.md passes the contract tests on the same page."""

import re
import sys
from pathlib import Path
from types import ModuleType

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "writing-a-backend.md").read_text()


def load(name: str, code: str) -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(code, name, "exec"), module.__dict__)  # noqa: S102 (our own documentation)
    return module


BACKEND, TESTS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
load("providers.backends.acme", BACKEND)
TestAcme = load("tests.contract.test_acme", TESTS).TestAcme
