"""While no parameter changes, messages pass once for all batches; in training and outside of it, for each."""

from __future__ import annotations

import pytest
import torch

from mhdiff.guidance import MessagePassing
from tests import small_model as small


@pytest.fixture
def counted(monkeypatch):
    torch.manual_seed(0)
    part = MessagePassing(small.concept_graph(), small.DIM, 2, inherit="is_a").eval()
    calls, states = [], part.states

    def counting(*given, **named):
        calls.append(1)
        return states(*given, **named)

    monkeypatch.setattr(part, "states", counting)
    return part, calls


def ask(part, seed):
    return part(small.batch(4, seed).evidence, torch.ones(4, 4, dtype=torch.bool))


def test_states_are_computed_once_and_are_those_of_the_weights(counted):
    part, calls = counted
    with torch.no_grad():
        wanted = [ask(part, seed) for seed in range(3)]
        assert len(calls) == 3
        with part.unchanging():
            found = [ask(part, seed) for seed in range(3)]
        assert len(calls) == 4
        for a, b in zip(wanted, found, strict=True):
            assert torch.equal(a.tokens, b.tokens)
            assert torch.equal(a.bias, b.bias)
        part.embedding.weight.add_(1.0)
        with part.unchanging():
            changed = ask(part, 0)
        assert not torch.equal(changed.tokens, wanted[0].tokens)
        assert torch.equal(changed.tokens, ask(part, 0).tokens)


def test_nothing_is_kept_where_something_is_learned(counted):
    part, calls = counted
    with part.unchanging():
        for seed in range(2):
            assert ask(part, seed).tokens.requires_grad
        with torch.no_grad():
            part.train()
            ask(part, 0)
            ask(part, 1)
    assert len(calls) == 4


def test_a_part_of_a_graph_serves_its_batch_alone():
    torch.manual_seed(0)
    part = MessagePassing(small.concept_graph(), small.DIM, 2, part="batch").eval()
    with torch.no_grad(), part.unchanging():
        within = [ask(part, seed).tokens for seed in range(2)]
    for seed, tokens in enumerate(within):
        assert torch.equal(tokens, ask(part, seed).tokens)


def test_an_error_within_leaves_nothing_behind(counted):
    part, calls = counted

    def fail():
        with torch.no_grad(), part.unchanging():
            ask(part, 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with torch.no_grad():
        ask(part, 0)
        ask(part, 0)
    assert len(calls) == 3
