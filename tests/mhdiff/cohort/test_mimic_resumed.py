"""MIMIC-CXR: an import that was killed goes on with the images and reports that are there now."""

import mimic_source
import pytest
from import_sources import files, stopped
from PIL import Image

from mhdiff.cohort.mimic_cxr import import_mimic_cxr, importing
from mhdiff.cohort.refused import MaxBad
from mhdiff.cohort.resumed import Parts

FEW = MaxBad(9)
SUBJECT, STUDY = 10_000_000, 50_000_000


def interrupt():
    raise KeyboardInterrupt


def other(place):
    """Write another image in the place of one, as a file of its own: the cohort may hold a link to the old one."""
    place.unlink(missing_ok=True)
    Image.new("L", (48, 40), 90).save(place)


def mended(source):
    other(source.image(SUBJECT, STUDY, 1))


def replaced(source):
    other(source.image(SUBJECT, STUDY))


def overwritten(source):
    Image.new("L", (48, 40), 90).save(source.image(SUBJECT, STUDY))


def gone(source):
    source.image(SUBJECT, STUDY).unlink()


def there(source):
    other(source.image(SUBJECT + 37, STUDY + 10))


def report_of(source):
    return source.image(SUBJECT, STUDY).parent.with_suffix(".txt")


def report(source):
    file = report_of(source)
    text = file.read_text()
    file.unlink()
    file.write_text(text.replace("INDICATION:", "INDICATION: a fall,"))


def no_report(source):
    report_of(source).unlink()


CHANGES = {
    "a broken image is mended": (mended, {"files/0", "placed/0", "data/0"}),
    "an image is replaced": (replaced, {"files/0", "placed/0", "data/0"}),
    "an image is overwritten": (overwritten, {"files/0", "placed/0", "data/0"}),
    "an image is gone": (gone, {"files/0", "placed/0", "data/0"}),
    "a missing image is there": (there, {"files/0", "placed/0", "data/0"}),
    "a report is replaced": (report, {"files/0", "data/0"}),
    "a report is gone": (no_report, {"files/0", "data/0"}),
    "nothing": (lambda source: None, set()),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_changed_since_the_kill_is_looked_at_again_and_nothing_else(tmp_path, monkeypatch, case):
    change, wanted = CHANGES[case]
    monkeypatch.setattr(importing, "SUBJECTS_A_SHARD", 2)
    source = mimic_source.many(tmp_path / "source", 6)
    folder = source.write()
    source.image(SUBJECT, STUDY, 1).write_bytes(b"no image")
    source.image(SUBJECT + 37, STUDY + 10).unlink()
    with monkeypatch.context() as patch:
        made = []
        patch.setattr(Parts, "make", stopped(15, interrupt, made))
        with pytest.raises(KeyboardInterrupt):
            import_mimic_cxr(folder, tmp_path / "out", max_bad=FEW)
    left = {name.removesuffix(".parquet") for name in made}
    assert {"placed/0", "data/0", "placed/1", "data/1"} <= left
    assert "data/2" not in left
    change(source)
    again = []
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "make", stopped(10**6, interrupt, again))
        resumed = import_mimic_cxr(folder, tmp_path / "out", max_bad=FEW)
    assert {name.removesuffix(".parquet") for name in again} & left == wanted
    anew = import_mimic_cxr(folder, tmp_path / "anew", max_bad=FEW)
    assert resumed.to_dict() == anew.to_dict()
    assert files(tmp_path / "out") == files(tmp_path / "anew")
