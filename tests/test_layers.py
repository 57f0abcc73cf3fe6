"""Imports point down only: the layers of the design, read from the source of every module."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "cmrjax"

# What each layer may import, itself apart. A job is a module right under the package that starts
# work; the demo starts jobs by their command lines and needs none of them.
BELOW = {
    "core": (),
    "data": ("core",),
    "models": ("core",),
    "objectives": ("core", "models"),
    "optim": ("core",),
    "health": ("core",),
    "step": ("core", "models", "objectives", "optim"),
    "experiment": ("core", "data", "models", "objectives", "optim", "step", "health"),
    "assembly": ("core", "data", "models", "objectives", "experiment"),
    "evals": ("core", "data", "models", "objectives", "optim", "step", "experiment", "assembly"),
    "reporting": ("core", "data", "models", "objectives", "optim", "step", "experiment", "evals"),
}
BELOW["reproducing"] = (*BELOW["reporting"], "assembly", "reporting")
BELOW["exporting"] = BELOW["benchmarks"] = BELOW["reporting"]
BELOW["preparing"] = ("core", "data")
# It measures whole jobs, too.
BELOW["benchmarks"] += ("preparing", "prepare")
BELOW["loop"] = ("core", "experiment", "health", "step")
BELOW["pretrained"] = (*BELOW["evals"], "evals")
# Behind `import.py`, whose name no statement can import.
BELOW["importing"] = (*BELOW["pretrained"], "pretrained", "exporting")
JOB_BELOW = (*BELOW, "reporting")
# One file (or folder) each may import a library.
ONLY_IN = {
    "orbax": ("core/checkpoint.py",),
    "grain": ("data/pipeline.py",),
    "apache_beam": ("data/beam_engine.py",),
    # The phantom writes DICOM; a benchmark's reference is pydicom itself.
    "pydicom": ("data/dicom/", "data/phantom/", "benchmarks/"),
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(source: str) -> list[tuple[str, int]]:
    """Every imported module's dotted name with its line, the main guard's apart."""
    found = []

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "__name__ == '__main__'":
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, child.lineno) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                assert child.level == 0, f"line {child.lineno}: relative import"
                found.append((base, child.lineno))
                found.extend((f"{base}.{alias.name}", child.lineno) for alias in child.names)
            visit(child)

    visit(ast.parse(source))
    return found


def layer(dotted: str) -> str | None:
    """`core` for `cmrjax.core.errors`; None outside the package or for the package itself."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == "cmrjax" and len(parts) > 1 else None


def violations(path: str, source: str) -> list[str]:
    """What a module at `path` (relative to the package) imports and may not."""
    own = path.removesuffix(".py").split("/")[0]
    allowed = set(BELOW.get(own, JOB_BELOW)) | {own}
    wrong = []
    for name, line in imports(source):
        target = layer(name)
        if name == "cmrjax.__version__" or own == "cli":
            target = None
        if target is not None and target not in allowed:
            wrong.append(f"{path}:{line} imports {name}")
        root = name.split(".")[0]
        if root in ONLY_IN and not any(
            path == place or (place.endswith("/") and path.startswith(place))
            for place in ONLY_IN[root]
        ):
            wrong.append(f"{path}:{line} imports {root}")
    return wrong


def test_no_module_imports_upwards_or_a_library_that_is_kept_in_one_place():
    found = []
    for path in modules():
        found += violations(path.relative_to(PACKAGE).as_posix(), path.read_text())
    assert found == []


def test_every_folder_has_a_layer():
    folders = {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").is_file()}
    assert folders <= set(BELOW)
    assert len(modules()) > 60, "the package was not found"


@pytest.mark.parametrize(
    ("path", "line", "named"),
    [
        ("core/clock.py", "from cmrjax.data import splits", "cmrjax.data"),
        ("models/layers.py", "import cmrjax.data.records", "cmrjax.data.records"),
        ("objectives/base.py", "from cmrjax.data.records import Index", "cmrjax.data.records"),
        ("data/records.py", "def f():\n    from cmrjax.models import layers", "cmrjax.models"),
        ("optim.py", "from cmrjax import step", "cmrjax.step"),
        ("evals/base.py", "from cmrjax import train", "cmrjax.train"),
        ("evals/base.py", "from cmrjax.reporting import words", "cmrjax.reporting"),
        ("train.py", "from cmrjax import evaluate", "cmrjax.evaluate"),
        ("train.py", "from cmrjax.cli import run", "cmrjax.cli"),
        ("train.py", "from orbax.checkpoint import v1", "orbax"),
        ("data/records.py", "import grain", "grain"),
        ("data/series.py", "import pydicom", "pydicom"),
    ],
)
def test_an_upward_import_is_found(path, line, named):
    assert any(named in found for found in violations(path, line))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("train.py", "if __name__ == '__main__':\n    from cmrjax.cli import run"),
        ("evals/encoder.py", "from cmrjax.experiment import RunConfig"),
        ("data/phantom/dicom_writer.py", "import pydicom"),
        ("core/checkpoint.py", "from orbax.checkpoint import v1 as ocp"),
    ],
)
def test_what_the_design_allows_passes(path, source):
    assert violations(path, source) == []
