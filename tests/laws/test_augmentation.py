"""Laws of augmentation: what is moved keeps its shape, outlines go along, and nothing else of a step changes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mhdiff.augmentation import ImageAugmentation
from mhdiff.losses import CrossEntropy, PriorLoss
from ontology.errors import InputError
from tests import loss_parts as parts
from tests import small_model as small

STILL = dict.fromkeys(("rotation", "shift", "scale", "contrast", "brightness", "noise"), 0.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def with_pixels(pixels, masks=None):
    made = small.batch(len(pixels))
    inputs = made.inputs | {"image": {"pixels": pixels}}
    return dataclasses.replace(made, inputs=inputs, masks={} if masks is None else {"image": masks})


def changed(pixels, seed=0, masks=None, **settings):
    batch = with_pixels(pixels, masks)
    return ImageAugmentation(**STILL | settings)(batch, generator(seed))


def pixels_of(batch):
    return batch.inputs["image"]["pixels"]


def centres(x):
    """Where the mass of each image is, in pixels from the middle, one row an image."""
    x = x[:, 0].double()
    places = torch.meshgrid(*[torch.arange(s).double() - (s - 1) / 2 for s in x.shape[1:]], indexing="ij")
    axes = tuple(range(1, x.ndim))
    return torch.stack([(x * p).sum(axes) / x.sum(axes) for p in places], 1)


def blob(size, at, rows=16):
    """Images with one soft dot, so many pixels from the middle along each axis."""
    places = torch.meshgrid(*[torch.arange(s) - (s - 1) / 2 for s in size], indexing="ij")
    square = sum((p - a) ** 2 for p, a in zip(places, at, strict=True))
    return torch.exp(-square / 8).expand(rows, 1, *size).clone()


def test_no_change_where_all_is_0_and_none_in_evaluation():
    batch = small.batch()
    same = ImageAugmentation(**STILL)(batch, generator())
    assert torch.equal(pixels_of(same), pixels_of(batch))
    assert ImageAugmentation().eval()(batch, generator()) is batch


@pytest.mark.parametrize(("size", "at"), [((40, 72), (7.0, 9.0)), ((24, 32, 44), (4.0, 5.0, 6.0))])
def test_a_rotation_keeps_distances_in_pixels_of_images_that_are_no_squares(size, at):
    before = blob(size, at)
    after = pixels_of(changed(before, rotation=60.0))
    was, found = centres(before), centres(after)
    torch.testing.assert_close(found.norm(dim=1), was.norm(dim=1), rtol=0.02, atol=0.05)
    assert (found - was).norm(dim=1).max() > 3


def test_a_rotation_turns_by_its_angle_at_most():
    before = blob((64, 64), (0.0, 16.0), rows=64)
    y, x = centres(pixels_of(changed(before, rotation=10.0))).T
    angle = torch.atan2(y, x).rad2deg()
    assert 8 < angle.abs().max() <= 10.1
    assert angle.min() < 0 < angle.max()


def test_shift_and_scale_are_shares_of_the_side_at_most():
    before = blob((40, 80), (0.0, 0.0), rows=64)
    moved = centres(pixels_of(changed(before, shift=0.1)))
    assert (moved.abs() <= torch.tensor([4.05, 8.05])).all()
    assert (moved.abs().max(0).values > torch.tensor([3.0, 6.0])).all()
    far = blob((40, 40), (0.0, 10.0), rows=64)
    at = centres(pixels_of(changed(far, scale=0.2)))[:, 1]
    assert 10 / 1.21 < at.min() < 9 < 11 < at.max() < 10 / 0.79


def test_greys_change_within_their_bounds_and_stay_greys():
    flat = torch.full((64, 1, 8, 8), 0.5)
    by = pixels_of(changed(flat, brightness=0.1)) - 0.5
    assert 0.08 < by.abs().max() <= 0.1 + 1e-6
    assert (by == by[..., :1, :1]).all()
    torch.testing.assert_close(pixels_of(changed(flat, contrast=0.5)), flat)  # nothing differs from its mean
    halves = flat.clone()
    halves[..., :4] = 0.3
    spread = pixels_of(changed(halves, contrast=0.5)).std((1, 2, 3)) / halves.std((1, 2, 3))
    assert 0.5 <= spread.min() < 0.7 < 1.3 < spread.max() <= 1.5
    noisy = pixels_of(changed(flat, noise=0.05))
    assert (noisy - 0.5).std() == pytest.approx(0.05, rel=0.1)
    loud = pixels_of(changed(torch.rand(8, 1, 8, 8), noise=3.0, brightness=0.9))
    assert loud.min() == 0
    assert loud.max() == 1


def test_beyond_the_border_the_border_goes_on():
    flat = torch.full((8, 1, 16, 16), 0.7)
    torch.testing.assert_close(pixels_of(changed(flat, shift=0.5, rotation=90.0, scale=0.5)), flat)


def test_outlines_go_along_with_their_image():
    masks = torch.zeros(6, 32, 32, dtype=torch.bool)
    masks[:5, 6:14, 18:27] = True
    pixels = masks[:, None].float()
    after = changed(pixels, masks=masks, rotation=40.0, shift=0.2, scale=0.2)
    assert torch.equal(after.masks["image"], pixels_of(after)[:, 0] > 0.5)
    assert not torch.equal(after.masks["image"], masks)
    assert not after.masks["image"][5].any()


def test_the_generator_decides_and_nothing_else_is_touched():
    batch = small.batch(6)
    before = pixels_of(batch).clone()
    state = torch.get_rng_state()
    augment = ImageAugmentation()
    first, again, other = (pixels_of(augment(batch, generator(s))) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(pixels_of(batch), before)
    after = augment(batch, generator())
    for name in ("note", "labs", "codes"):
        assert after.inputs[name] is batch.inputs[name]
    assert after.present is batch.present


def test_a_volume_is_moved_in_its_three_axes():
    before = torch.rand(3, 1, 6, 8, 10)
    after = pixels_of(changed(before, rotation=20.0, shift=0.1, noise=0.1))
    assert after.shape == before.shape
    assert not torch.equal(after, before)


def test_stored_embeddings_are_passed_over_and_what_has_no_pixels_is_refused():
    batch = small.batch()
    stored = dataclasses.replace(batch, inputs=batch.inputs | {"image": {"embedding": torch.rand(5, 4)}})
    after = ImageAugmentation(modalities=["image"])(stored, generator())
    assert after.inputs["image"] is stored.inputs["image"]
    with pytest.raises(InputError, match="labs, which has no pixels"):
        ImageAugmentation(modalities=["labs"]).build(small.spec())
    ImageAugmentation(modalities=["image"]).build(small.spec())
    for name, value in {"rotation": 180, "shift": 1.0, "scale": -0.1, "noise": float("nan")}.items():
        with pytest.raises(InputError, match=name):
            ImageAugmentation(**{name: value})


def stepped(**options):
    """What a model is after two training steps, with random masking and dropout, and the global generator then."""
    built = parts.module([CrossEntropy(), PriorLoss()], **options)
    built.log_dict = lambda *args, **kwargs: None
    optimiser = built.configure_optimizers()
    torch.manual_seed(5)
    for number in range(2):
        optimiser.zero_grad()
        built.training_step(small.batch(8, number), number).backward()
        optimiser.step()
    return {n: t.clone() for n, t in built.net.state_dict().items()}, torch.get_rng_state()


def test_a_training_step_with_it_draws_all_else_as_it_would_have_drawn():
    (plain, after), (still, after_still), (moved, after_moved) = (
        stepped(augmentation=x) for x in (None, ImageAugmentation(**STILL), ImageAugmentation())
    )
    assert all(torch.equal(plain[name], still[name]) for name in plain)
    assert any(not torch.equal(plain[name], moved[name]) for name in plain)
    assert torch.equal(after, after_still)
    assert torch.equal(after, after_moved)


def test_the_batch_that_lightning_keeps_is_not_changed_by_a_step():
    built = parts.module([CrossEntropy(), PriorLoss()], augmentation=ImageAugmentation())
    batch = small.batch(8)
    before = pixels_of(batch).clone()
    built.training_step(batch, 0)
    assert torch.equal(pixels_of(batch), before)


def test_half_precision_moves_nothing_elsewhere():
    batch = with_pixels(blob((64, 64), (0.0, 16.0)))
    with torch.autocast("cpu", torch.bfloat16):
        half = ImageAugmentation()(batch, generator())
    assert torch.equal(pixels_of(half), pixels_of(ImageAugmentation()(batch, generator())))
