"""The decoder that draws the region of an edit alone: nothing leaks in, nothing else changes."""

import dataclasses

import numpy as np
import pytest
import torch

from aif.runtime.errors import ConfigError
from aif.runtime.regions import REGIONS, SKETCHED, hidden_mask
from aif.train.config import override
from aif.train.networks.context import GAIN, MOST_COLOUR, MOST_LIGHT, WORST, ContextDecoder, Hiding
from aif.train.networks.filters import guided, luminance
from aif.train.networks.modules import Networks
from aif.train.presets import AUTHORS, RESIDUAL, WHOLE
from aif.train.step import region_weight

NAMES = ("Smiling", "Eyeglasses", "Blond_Hair", "Young")


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(0)
    shape = dataclasses.replace(RESIDUAL.network, width=8, latent_size=6, context=True, inject_y=True)
    made = Networks(shape, NAMES, False, False).decoder.eval()
    assert isinstance(made, ContextDecoder)
    return made


@pytest.fixture(scope="module")
def face():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def changed(name, value=1.0):
    y = torch.zeros(2, len(NAMES))
    y[:, NAMES.index(name)] = value
    return y


def draw(decoder, face, y, z=0.3):
    with torch.no_grad():
        return decoder(torch.full((2, 6), z), y, (face, torch.zeros(2, len(NAMES))))


def redraw(decoder, face, y):
    with torch.no_grad():
        return decoder.redraw(torch.full((2, 6), 0.3), y, face, y)


def test_a_face_that_is_not_edited_is_the_face_itself(decoder, face):
    assert torch.equal(draw(decoder, face, torch.zeros(2, len(NAMES))), face)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_region_of_the_edit_changes(decoder, face, name):
    difference = (draw(decoder, face, changed(name)) - face).abs().amax(dim=(0, 1)).numpy()
    mask = hidden_mask(64, name)
    assert (difference[mask == 0] == 0).all() and difference[mask > 0.9].mean() > 0.01


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SKETCHED])
def test_what_is_hidden_does_not_leak_into_what_is_drawn(decoder, face, name):
    hidden = torch.from_numpy(hidden_mask(64, name) == 1)
    assert hidden.float().mean() > 0.05
    other = torch.where(hidden, 1 - face, face)
    drawn, again = (redraw(decoder, picture, changed(name)) for picture in (face, other))
    assert torch.equal(drawn, again)
    surroundings = torch.where(hidden, face, 1 - face)
    assert not torch.equal(redraw(decoder, surroundings, changed(name))[:, :, hidden], drawn[:, :, hidden])


def test_an_edit_takes_the_tint_of_what_it_hides_and_nothing_finer(decoder, face):
    """The mean of what is hidden shifts what is shown; a pattern does not, however strong."""
    y, hidden = changed("Smiling"), torch.from_numpy(hidden_mask(64, "Smiling") == 1)
    inner = -torch.nn.functional.max_pool2d(-hidden.float()[None], 9, stride=1, padding=4)[0] == 1
    assert inner.sum() > 100
    shown = draw(decoder, face * 0.1 + 0.45, y)
    board = (torch.arange(64)[:, None] // 2 + torch.arange(64) // 2) % 2 * 0.2 - 0.1
    for pattern, moved in ((board, 0.0), (torch.full((64, 64), 0.05), 0.05)):
        found = draw(decoder, face * 0.1 + 0.45 + torch.where(hidden, pattern, 0), y) - shown
        assert found[..., inner].mean() == pytest.approx(moved, abs=0.01)
        assert (found[..., inner] - moved).abs().max() < 0.02


@pytest.mark.parametrize("name", ["Blond_Hair", "Young"])
def test_colour_does_not_leak_through_a_sketch(decoder, face, name):
    hidden = torch.from_numpy(hidden_mask(64, name) == 1)
    tint = torch.tensor([0.587, -0.299, 0.0])[:, None, None] * 0.5  # as light as before
    pictures = (face, torch.where(hidden, face + tint, face))
    with torch.no_grad():
        z, y = torch.full((2, 6), 0.3), torch.zeros(2, len(NAMES))
        drawn, tinted = (decoder.redraw(z, y, picture, changed(name))[:, :, hidden] for picture in pictures)
    torch.testing.assert_close(tinted, drawn, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["Blond_Hair", "Young"])
def test_where_a_sketch_is_shown_the_smoothed_difference_of_two_drawings_is_added(decoder, face, name):
    """Smoothed widely; but the luminance of an edit that is not of colour alone less so."""
    y, read, light = changed(name), torch.zeros(2, len(NAMES)), luminance(face)
    with torch.no_grad():
        edited, after, before = decoder.edit(torch.full((2, 6), 0.3), y, (face, read))
        torch.testing.assert_close(before, decoder.redraw(torch.full((2, 6), 0.3), read, face, y))
        where = decoder.hiding(y)[:, :1]
    drawn = (after - before) / where.clamp(min=1e-6)
    wide, fine = GAIN * guided(drawn, light, where, 2, 3), GAIN * guided(luminance(drawn), light, where, 1, 2)
    change = MOST_COLOUR * ((wide - luminance(wide)) / MOST_COLOUR).tanh()
    change += MOST_LIGHT * (fine / MOST_LIGHT).tanh() if name == "Young" else luminance(wide)
    inside = where[0, 0] == 1
    assert inside.sum() > 300
    expected = (face + change).clamp(0, 1)
    torch.testing.assert_close(edited[..., inside], expected[..., inside], atol=1e-4, rtol=0)


def test_elsewhere_the_new_drawing_takes_the_place_of_the_old_face(decoder, face):
    """But for its tint: no more is added than colours may be wrong."""
    y, read = changed("Smiling"), torch.zeros(2, len(NAMES))
    with torch.no_grad():
        edited, after, _ = decoder.edit(torch.full((2, 6), 0.3), y, (face, read))
    tint = edited - after
    assert 0.01 < tint.abs().max() <= WORST
    inside = torch.from_numpy(hidden_mask(64, "Smiling")[:, 1:] == 1)
    assert (tint[..., 1:] - tint[..., :-1])[..., inside].abs().max() < 0.03


def test_where_a_sketch_would_show_what_another_edit_hides_it_is_blank(decoder, face):
    both = changed("Smiling") + changed("Blond_Hair")
    hidden = torch.from_numpy(hidden_mask(64, "Smiling") == 1)
    other = torch.where(hidden, 1 - face, face)
    assert torch.equal(redraw(decoder, face, both), redraw(decoder, other, both))


def test_z_and_y_reach_the_region(decoder, face):
    drawn = draw(decoder, face, changed("Smiling"))
    assert not torch.equal(draw(decoder, face, changed("Smiling"), z=-0.3), drawn)
    assert not torch.equal(draw(decoder, face, changed("Smiling", 2.0)), drawn)


@pytest.mark.parametrize(
    ("change", "hidden"), [(0.0, 0.0), (0.04, 0.0), (-0.2, 0.5), (0.35, 1.0), (-1.0, 1.0), (3.0, 1.0)]
)
def test_how_much_a_change_hides(change, hidden):
    found = Hiding(64, ["Smiling"])(torch.tensor([[change]]))
    assert found.shape == (1, 3, 64, 64) and torch.equal(found[:, 0], found[:, 1]) and not found[:, 2].any()
    assert found.amax().item() == pytest.approx(hidden, abs=1e-6) and found.amin().item() == 0


def test_what_an_edit_may_do():
    """Hidden, blind and shaped: a mouth is drawn anew, hair recoloured, age more than recoloured."""
    for name, kinds in (("Smiling", [1, 1, 0]), ("Blond_Hair", [1, 0, 0]), ("Young", [1, 0, 1])):
        assert Hiding(64, NAMES)(changed(name)[:1]).amax(dim=(0, 2, 3)).tolist() == kinds


def test_several_changes_hide_the_union():
    hiding = Hiding(64, NAMES)
    both = hiding(torch.tensor([[1.0, 1.0, 0.0, 0.0]]))
    alone = [hiding(torch.tensor([row])) for row in ([1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0])]
    assert torch.equal(both, torch.maximum(*alone))


@pytest.mark.parametrize("name", [*REGIONS, "Something_Else"])
def test_masks_hide_enough_and_leave_the_border(name):
    mask = hidden_mask(128, name)
    assert mask.shape == (128, 128) and mask.dtype == np.float32
    assert 0.04 < (mask > 0.5).mean() < 0.98 and mask.max() == 1
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    assert (border == 0).all()
    assert mask[:, ::-1] == pytest.approx(mask, abs=1e-5)  # faces are mirrored in training


def test_small_regions_count_as_much_as_large_ones(decoder):
    drawn = decoder.hiding(torch.eye(4))[:, :1]
    weight = region_weight(drawn)
    assert weight.shape == (4, 1, 1, 1) and weight.amax() > 2 * weight.amin()
    torch.testing.assert_close(weight.flatten() * drawn.mean(dim=(1, 2, 3)), torch.ones(4))


@pytest.mark.parametrize(
    ("preset", "assignment"),
    [
        (AUTHORS, "network.context=true"),
        (RESIDUAL, "network.context=true"),  # has a discriminator of faces from the prior
        (
            dataclasses.replace(WHOLE, network=dataclasses.replace(WHOLE.network, handed=(16,))),
            "network.context=true",
        ),
        (WHOLE, "network.decoder_width=6"),
    ],
)
def test_what_does_not_go_together(preset, assignment):
    with pytest.raises(ConfigError):
        override(preset, [assignment])
