"""A wheel built from the sdist holds every module and data file of the package."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import fedfm_sim

PACKAGE = Path(fedfm_sim.__file__).parent


def test_wheel_from_sdist_is_complete(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(PACKAGE.parent)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("fedfm_sim/")}
    source = {
        str(path.relative_to(PACKAGE.parent))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == source
    assert "fedfm_sim/learning/checkpoints/digits-vit/model.safetensors" in packed
    assert "fedfm_sim/scenarios/catalogue/quickstart.toml" in packed
