from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import detector

HEAVY = (
    "selectolax",
    "sklearn",
    "joblib",
    "torch",
    "rich",
    "typer",
    "chardet",
    "pandas",
    "pyarrow",
    "scrapy",
    "asyncio",
)


def test_a_first_label_needs_numpy_at_most():
    code = (
        "import sys\n"
        "from detector import Detector\n"
        "page = Detector.load().label('Subscribe to our newsletter\\n\\nThe council met on Tuesday.')\n"
        "assert page.paragraphs[0].label is not None\n"
        f"print([name for name in {HEAVY!r} + ('scipy',) if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def imported(path: Path) -> set[str]:
    """The packages that a source file names in its imports, wherever they stand."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def test_the_detector_never_imports_training():
    sources = list(Path(detector.__file__).parent.rglob("*.py"))
    assert len(sources) > 20
    assert [path.name for path in sources if "training" in imported(path)] == []


def test_the_command_line_imports_the_service_only_to_serve():
    code = "import sys, detector.cli; print([name for name in ('starlette', 'uvicorn') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
