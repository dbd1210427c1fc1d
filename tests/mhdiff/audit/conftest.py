"""A clean cohort, and the command run on what becomes of it."""

import json
import shutil

import pytest
import yaml
from plants import Place

from mhdiff.cli import main

#: Everything but the number of resamples is as shipped.
LIMITS = {"replicates": 400}


@pytest.fixture
def place(small_data, tmp_path):
    """A copy of the clean cohort, to plant something into."""
    folder = tmp_path / "cohort"
    shutil.copytree(small_data / "cohort", folder)
    return Place(folder, small_data / "ontology")


@pytest.fixture
def audited(small_data, tmp_path, capsys):
    """Run the command and give its exit code, its document and all that it printed."""
    limits = tmp_path / "limits.yaml"
    limits.write_text(yaml.safe_dump(LIMITS))

    def run(folder, *arguments):
        given = ["cohort", "audit", folder, "--ontology", small_data / "ontology", "--json"]
        given += ["--task", "pneumonia"] if "--task" not in arguments else []
        given += ["--thresholds", limits] if "--thresholds" not in arguments else []
        capsys.readouterr()
        code = main(list(map(str, [*given, *arguments])))
        printed = capsys.readouterr()
        return code, json.loads(printed.out), printed.out + printed.err

    return run
