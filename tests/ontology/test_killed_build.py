"""A build that is killed leaves the old folder or the new one, and nothing that the next build does not sweep up."""

import os
import signal
import subprocess
import sys
import time

import pytest
import tiny_release

from ontology import Ontology, load_rf2
from ontology.files import atomic_directory

BUILD = """
import sys
from ontology import load_rf2
sys.stdout.write("ready\\n"); sys.stdout.flush()
while True:
    for source in sys.argv[2:]:
        load_rf2(source).save(sys.argv[1])
"""


@pytest.fixture
def two(tmp_path):
    files = tiny_release.tables()
    one = tiny_release.write(tmp_path / "one", files)
    files[tiny_release.MAP].pop()
    other = tiny_release.write(tmp_path / "other", files)
    return one, other, {load_rf2(one).fingerprint, load_rf2(other).fingerprint}


def test_killed_at_any_moment_an_old_or_a_new_folder_is_there(two, tmp_path):
    one, other, fingerprints = two
    out = tmp_path / "out"
    load_rf2(one).save(out)
    seen = set()
    for round_ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", BUILD, str(out), str(one), str(other)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.15 + 0.037 * round_)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        opened = Ontology.open(out, verify=True)
        assert opened.fingerprint in fingerprints
        seen.add(opened.fingerprint)
    load_rf2(one).save(out)
    left = [path.name for path in tmp_path.iterdir() if ".new-" in path.name]
    assert left == []


def test_what_fails_inside_leaves_the_old_folder(tmp_path, tiny):
    tiny.save(tmp_path / "o")

    def fail():
        with atomic_directory(tmp_path / "o", marker="ontology.json") as folder:
            (folder / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert Ontology.open(tmp_path / "o", verify=True).fingerprint == tiny.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["o"]
