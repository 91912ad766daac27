from __future__ import annotations

import subprocess
import sys

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


def test_the_detector_never_imports_training():
    code = (
        "import sys, pkgutil, importlib, detector\n"
        "for module in pkgutil.walk_packages(detector.__path__, 'detector.'):\n"
        "    importlib.import_module(module.name)\n"
        "print('training' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
