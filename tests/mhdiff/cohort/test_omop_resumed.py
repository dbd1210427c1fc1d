"""A killed import of OMOP tables goes on with what it had made, and gives what one gives that was not killed."""

import omop_source
import pytest
from omop_source import put

from mhdiff.cohort import Cohort, omop
from mhdiff.cohort.omop import import_omop
from mhdiff.cohort.refused import MaxBad


@pytest.fixture
def source(tmp_path):
    return omop_source.write(tmp_path / "cdm", omop_source.tables())


def test_a_killed_import_goes_on_and_repeats_no_row(tmp_path, source, monkeypatch):
    monkeypatch.setattr(omop, "ROWS_A_SHARD", 7)
    whole = import_omop(source, tmp_path / "whole")
    made = []

    def killed(step, tasks):
        for number, one in enumerate(tasks):
            if step is omop.make and number == 2:
                raise KeyboardInterrupt
            step(one)
            yield one

    def counted(step, tasks):
        for one in tasks:
            made.extend([one] * (not (one.told if step is omop.make else one.folder).is_dir()))
            step(one)
            yield one

    with pytest.raises(KeyboardInterrupt):
        import_omop(source, tmp_path / "again", on=killed)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".again.import", "cdm", "whole"]
    report = import_omop(source, tmp_path / "again", on=counted)
    assert len(made) == 1 + report.written["shards"] - 2 - empty(tmp_path / "again", report)
    assert report.to_dict() == whole.to_dict()
    names = sorted(p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole").rglob("*") if p.is_file())
    assert names == sorted(
        p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file()
    )
    assert all((tmp_path / "whole" / n).read_bytes() == (tmp_path / "again" / n).read_bytes() for n in names)
    assert not (tmp_path / ".again.import").exists()


def empty(cohort, report):
    """Give how many shards hold nobody."""
    return report.written["shards"] - len(list((cohort / "data").glob("*.parquet")))


def test_a_killed_import_of_a_source_that_changed_begins_anew(tmp_path, source):
    def killed(step, tasks):
        if step is omop.make:
            raise KeyboardInterrupt
        yield from omop.here(step, tasks)

    with pytest.raises(KeyboardInterrupt):
        import_omop(source, tmp_path / "again", on=killed)
    put(source, "MEASUREMENT", 2, "value_as_number", "96")
    import_omop(source, tmp_path / "again")
    values = set(Cohort.open(tmp_path / "again").events["numeric_value"].drop_nulls())
    assert 96 in values
    assert 95 not in values


def test_an_image_that_changed_since_is_in_no_shard(tmp_path, source):
    from PIL import Image

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a", "b"):
        Image.new("L", (8, 8), ord(name)).save(pictures / f"{name}.png")
    rows = "person_id,time,path,modality\n1,2015-03-01 10:30,a.png,CXR\n2,2015-03-01 10:30,b.png,CXR\n"
    (pictures / "images.csv").write_text(rows)
    given = {"images": pictures / "images.csv", "max_bad": MaxBad(1)}

    def killed(step, tasks):
        yield from omop.here(step, tasks)
        if step is omop.make:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_omop(source, tmp_path / "again", on=killed, **given)
    (pictures / "b.png").unlink()
    report, anew = (import_omop(source, tmp_path / name, **given) for name in ("again", "anew"))
    assert report.to_dict() == anew.to_dict()
    assert Cohort.open(tmp_path / "again").fingerprint == Cohort.open(tmp_path / "anew").fingerprint
