import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontology import sctid
from ontology.errors import InputError

FORMAT_METADATA = [
    116680003,
    900000000000003001,
    900000000000013009,
    900000000000074008,
    900000000000509007,
    900000000000548007,
    447562003,
]
PARTS = st.one_of(
    st.tuples(st.integers(1000, 10**8 - 1), st.none(), st.sampled_from(["00", "01", "02"])),
    st.tuples(st.integers(1, 10**8 - 1), st.integers(10**6, 10**7 - 1), st.sampled_from(["10", "11", "12"])),
)


@pytest.mark.parametrize("identifier", FORMAT_METADATA)
def test_metadata_of_the_format_is_valid(identifier):
    assert sctid.is_valid(identifier)
    assert sctid.namespace_of(identifier) is None
    assert sctid.partition_of(identifier) == "00"


@given(PARTS)
def test_what_is_made_is_valid_and_gives_its_parts_back(parts):
    item, namespace, partition = parts
    identifier = sctid.make_sctid(item, namespace, partition)
    assert sctid.is_valid(identifier)
    assert sctid.is_valid(str(identifier))
    assert sctid.partition_of(identifier) == partition
    assert sctid.namespace_of(identifier) == namespace
    assert str(identifier).startswith(str(item))


@given(PARTS, st.data())
def test_one_wrong_digit_or_two_swapped_neighbours_are_found(parts, data):
    text = str(sctid.make_sctid(*parts))
    place = data.draw(st.integers(0, len(text) - 1))
    digit = data.draw(st.sampled_from([d for d in "0123456789" if d != text[place]]))
    assert not sctid.is_valid(text[:place] + digit + text[place + 1 :])
    if place + 1 < len(text) and text[place] != text[place + 1]:
        assert not sctid.is_valid(text[:place] + text[place + 1] + text[place] + text[place + 2 :])


@given(st.lists(st.one_of(st.integers(-5, 10**18 + 5), PARTS.map(lambda parts: sctid.make_sctid(*parts)))))
def test_the_array_form_gives_the_same_answers(identifiers):
    found = sctid.valid(np.array(identifiers, dtype=np.int64))
    assert found.tolist() == [sctid.is_valid(identifier) for identifier in identifiers]


@pytest.mark.parametrize(
    "text", ["", "0", "11668000", "-116680003", " 116680003", "0116680003", "116680004", "1" * 19]
)
def test_what_is_no_sctid_is_not_valid(text):
    assert not sctid.is_valid(text)


def test_parts_that_do_not_fit_are_refused():
    for item, namespace, partition in [
        (1, None, "00"),
        (0, 9999001, "10"),
        (5, 9999001, "00"),
        (5, None, "10"),
    ]:
        with pytest.raises(InputError):
            sctid.make_sctid(item, namespace, partition)
    with pytest.raises(InputError):
        sctid.make_sctid(5, 123, "10")
    with pytest.raises(InputError):
        sctid.verhoeff_digit("12a")
    with pytest.raises(InputError, match="float64"):
        sctid.valid(np.array([116680003.0]))
