import pytest
import tiny_release

from ontology import load_rf2


@pytest.fixture
def release(tmp_path):
    """The tiny release as {file name: rows}, and a function that loads what it has become."""
    files = tiny_release.tables()

    def load(**options):
        return load_rf2(tiny_release.write(tmp_path / "tiny", files), **options)

    return files, load


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return load_rf2(tiny_release.write(tmp_path_factory.mktemp("rf2") / "tiny"))
