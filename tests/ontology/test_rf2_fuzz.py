import tempfile

import tiny_release
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ontology import InputError, Ontology, load_rf2

FILES = {name: tiny_release.content(rows) for name, rows in tiny_release.tables().items()}
PIECES = st.one_of(
    st.binary(max_size=6),
    st.sampled_from(
        [b"\t", b"\r\n", b"\n", b"\r", b'"', b"#", b"\x00", b"\xff", b"\xef\xbb\xbf", b"0", b"-1", b"9" * 20]
    ),
)


@st.composite
def spoiled(draw):
    """The tiny release after a few edits: bytes replaced, put in, or cut out."""
    files = dict(FILES)
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(sorted(files)))
        data = files[name]
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 1, 2, 5, 40, 10**6])))
        files[name] = data[:start] + draw(PIECES) + data[end:]
    if draw(st.integers(0, 9)) == 0:
        del files[draw(st.sampled_from(sorted(files)))]
    return files


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoiled())
def test_a_spoiled_release_gives_an_ontology_or_an_input_error(files):
    with tempfile.TemporaryDirectory() as folder:
        try:
            ontology = load_rf2(tiny_release.write(folder, files))
        except InputError:
            return
        assert isinstance(ontology, Ontology)
        assert ontology.fingerprint
        assert ontology.closure.diagonal().all()
        for sctid in ontology.sctids[:3].tolist():
            assert ontology.term(sctid)
            assert ontology.fsn(sctid)
