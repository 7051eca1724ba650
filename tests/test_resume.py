"""Runs written down and taken up again; Ctrl-C in mid-step."""

import copy
import dataclasses
import io
import itertools
import json

import pytest
import torch
from conftest import TINY, Watch, raise_at
from safetensors.torch import load_file, save_file
from test_transfer import BARE, CONTENT, STYLE, change, own, same

from nst_helpers import (
    ContentLoss,
    InputError,
    Settings,
    StyleLoss,
    StyleTransfer,
    TotalVariationLoss,
)
from nst_helpers.checkpoint import load_checkpoint, save_checkpoint
from nst_helpers.pixels import resize

pytestmark = pytest.mark.usefixtures("plain")


def handed_on(transfer, *losses):
    """Write a run down as numbers, and take it up in a new one."""
    fresh = StyleTransfer(transfer.photo, transfer.painting, transfer.settings, *losses)
    fresh.load_state_dict(transfer.state_dict())
    return fresh


def as_file(path):
    """Return how to write a run into a file, and to take it up from there."""

    def save_and_load(transfer, *losses):
        save_checkpoint(transfer, path)
        return load_checkpoint(path, *losses)

    return save_and_load


def walk(transfer, last):
    """Do steps until the last one, and leave the run there."""
    return [next(transfer) for _ in range(last - transfer.iteration)]


def test_a_run_taken_up_goes_on_bit_for_bit(photo, painting, tmp_path):
    pair = [painting, photo.flip(3)]
    take_up = itertools.cycle([as_file(tmp_path / "run"), handed_on])
    kinds = (
        # L-BFGS has begun to forget its first steps.
        ({"steps": 26}, (22, 23)),
        ({"steps": 6, "optimizer": "adam", "start": "noise", "seed": 3}, (3,)),
        ({"steps": 6, "scales": 2, "size": 48, "mix": (3, 1)}, (2, 3, 4)),
        ({"steps": 6, "scales": 3, "size": 100, "start": "style"}, (1, 4)),
        ({"steps": 4, "pooling": "max", "padding": "zeros"}, (2,)),
    )
    for changes, moments in kinds:
        settings = dataclasses.replace(TINY, **changes)
        whole = list(StyleTransfer(photo, pair, settings))
        for last in moments:
            transfer = StyleTransfer(photo, pair, settings)
            steps = walk(transfer, last)
            again = next(take_up)(transfer)
            assert torch.equal(again.image, transfer.image)
            assert again.settings == settings and again.iteration == last
            assert again.precision == transfer.precision
            more = list(again)
            assert more[0].seconds > steps[-1].seconds
            assert same(steps + more, whole) and again.reason == "steps done"


def test_a_run_not_begun_and_one_at_its_end(photo, painting, tmp_path):
    whole = list(StyleTransfer(photo, painting, TINY))
    for take_up in (handed_on, as_file(tmp_path / "run")):
        begun = take_up(StyleTransfer(photo, painting, TINY))
        steps = list(begun)
        assert same(steps, whole)
        again = take_up(begun)
        assert list(again) == [] and again.reason == "steps done"
        assert torch.equal(again.image, whole[-1].image)
        for transfer in (begun, again):
            change(transfer, steps=6)
        assert same(list(begun), list(again)) and again.iteration == 6


def test_a_run_bent_before_it_is_written_bends_as_it_would_have(
    photo, painting, tmp_path
):
    for changes, take_up in (
        ({"style_weight": 7.0}, handed_on),
        ({"size": 48}, as_file(tmp_path / "run")),
        ({"optimizer": "adam"}, handed_on),
    ):
        transfer = StyleTransfer(photo, painting, TINY)
        list(transfer)
        change(transfer, steps=7, **changes)
        again = take_up(transfer)
        ours, theirs = list(transfer), list(again)
        assert same(ours, theirs)
        assert [step.restarted for step in theirs] == [True, False, False]
    transfer.painting = painting.flip(3)
    transfer.image = photo.flip(3)
    change(transfer, steps=9)
    assert same(list(take_up(transfer)), list(transfer))


def test_a_state_is_a_copy(photo, painting):
    for optimizer in ("lbfgs", "adam"):
        aim = dataclasses.replace(TINY, steps=6, optimizer=optimizer)
        whole = list(StyleTransfer(photo, painting, aim))
        transfer = StyleTransfer(photo, painting, aim)
        steps = walk(transfer, 3)
        state = transfer.state_dict()
        before = copy.deepcopy(state)
        list(transfer)
        found = []
        for _ in range(2):  # and loading it does not change it, nor use it up
            again = StyleTransfer(photo, painting, aim)
            again.load_state_dict(state)
            found.append(again)
            assert same(steps + list(again), whole)
        assert repr(state) == repr(before)
        state["settings"]["steps"] = 77
        assert transfer.settings.steps == found[0].settings.steps == 6


def test_a_run_goes_back_to_a_state_of_its_own(photo, painting):
    transfer = StyleTransfer(photo, painting, TINY)
    steps = walk(transfer, 2)
    state, rest = transfer.state_dict(), list(transfer)
    change(transfer, style_weight=1.0, steps=6, size=48)
    list(transfer)
    transfer.load_state_dict(state)
    assert transfer.settings == TINY and torch.equal(transfer.image, steps[-1].image)
    assert same(list(transfer), rest)


def test_a_state_of_another_run_is_refused_and_changes_nothing(photo, painting):
    whole = list(StyleTransfer(photo, painting, TINY))
    transfer = StyleTransfer(photo, painting, TINY)
    steps = walk(transfer, 2)
    losses = [ContentLoss(layers=CONTENT), StyleLoss(painting, 1.0, STYLE, name="ink")]
    states = {"other losses": StyleTransfer(photo, None, BARE, losses).state_dict()}
    for changes in ({"pooling": "max"}, {"padding": "zeros"}, {"seed": 3}):
        (name,) = changes
        other = dataclasses.replace(TINY, **changes)
        states[f"{name} cannot change"] = StyleTransfer(
            photo, painting, other
        ).state_dict()
    for line, state in states.items():
        with pytest.raises(InputError, match=line):
            transfer.load_state_dict(state)
    assert same(steps + list(transfer), whole)


@pytest.mark.long
def test_a_run_with_losses_of_ones_own_is_taken_up_with_them(photo, painting, tmp_path):
    def losses(weight=2.0):
        watch = Watch(lambda image, _: (image[:, 0].mean() - 1) ** 2)
        watch.weight = weight
        mask = torch.zeros(20, 30)
        mask[:10] = 1
        return [
            ContentLoss(layers=CONTENT),
            StyleLoss(painting, 9.0, STYLE, mask=mask, scale=1.5, name="above"),
            StyleLoss(painting.flip(1), 9.0, STYLE, mask=1 - mask, name="below"),
            TotalVariationLoss(),
            watch,
        ]

    aim = dataclasses.replace(BARE, steps=6, scales=2, size=48)
    whole = list(StyleTransfer(photo, None, aim, losses()))
    for take_up in (handed_on, as_file(tmp_path / "run")):
        for last in (2, 3):
            transfer = StyleTransfer(photo, None, aim, losses())
            steps = walk(transfer, last)
            again = take_up(transfer, losses())
            assert again.painting is None and len(again.losses) == 5
            assert same(steps + list(again), whole)
        # Some of other weights bend it.
        bent = take_up(transfer, losses(3.0))
        step = next(bent)
        assert step.restarted and step.weights["watch"] == 3
        with pytest.raises(InputError, match="other losses"):
            take_up(transfer, own(painting))
    with pytest.raises(InputError, match="losses of its own; give them too"):
        load_checkpoint(tmp_path / "run")


def test_a_weight_changed_before_a_run_is_written(photo, painting, tmp_path):
    for take_up in (handed_on, as_file(tmp_path / "run")):
        ours = own(painting)
        transfer = StyleTransfer(photo, None, BARE, ours)
        walk(transfer, 2)
        ours[0].weight = 50.0
        theirs = own(painting)
        theirs[0].weight = 50.0
        again = take_up(transfer, theirs)
        steps = list(transfer)
        assert same(steps, list(again)) and steps[0].restarted


def test_a_run_too_small_for_its_first_scale_is_taken_up(photo, painting, tmp_path):
    aim = dataclasses.replace(TINY, size=100, scales=3, steps=3, start="style")
    transfer = StyleTransfer(photo, painting, aim)
    list(transfer)
    change(transfer, size=40, steps=4)
    save_checkpoint(transfer, tmp_path / "run")
    again = load_checkpoint(tmp_path / "run")
    assert again.settings == transfer.settings
    assert same([next(again)], [next(transfer)])


def test_a_file_holds_the_pictures_and_no_code(photo, painting, tmp_path):
    transfer = StyleTransfer(photo, [painting, photo], TINY)
    walk(transfer, 1)
    save_checkpoint(transfer, tmp_path / "run")
    again = load_checkpoint(tmp_path / "run")
    assert torch.equal(again.photo, photo)
    assert all(map(torch.equal, again.painting, [painting, photo]))
    assert any(torch.equal(x, photo) for x in load_file(tmp_path / "run").values())
    content = (tmp_path / "run").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    run = json.loads(header["__metadata__"]["run"])
    assert Settings(**run["state"]["settings"]) == TINY


def test_no_broken_checkpoint_is_gone_on_from(photo, painting, tmp_path):
    transfer = StyleTransfer(photo, painting, TINY)
    walk(transfer, 2)
    save_checkpoint(transfer, tmp_path / "run")
    content = (tmp_path / "run").read_bytes()
    bad = tmp_path / "bad"
    for tenth in range(10):
        bad.write_bytes(content[: tenth * len(content) // 10])
        with pytest.raises(InputError, match="no checkpoint, or cut off"):
            load_checkpoint(bad)
    for place in (0, 60, len(content) // 2, len(content) - 1):
        bad.write_bytes(
            content[:place]
            + bytes([content[place] ^ 1])
            + content[place + 1 : len(content)]
        )
        with pytest.raises(InputError, match="checkpoint") as error:
            load_checkpoint(bad)
        assert "\n" not in str(error.value)
    torch.save({"pixels": photo}, bad)
    with pytest.raises(InputError, match="no checkpoint, or cut off"):
        load_checkpoint(bad)
    for metadata in ({}, {"metadata": {"format": "nst_helpers checkpoint 1"}}):
        save_file({"pixels": photo}, bad, **metadata)
        with pytest.raises(InputError, match="not a checkpoint"):
            load_checkpoint(bad)
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(InputError, match="no such checkpoint"):
            load_checkpoint(path)
    with pytest.raises(InputError, match="cannot be written"):
        save_checkpoint(transfer, tmp_path / "no folder" / "run")
    assert (tmp_path / "run").read_bytes() == content


# Ctrl-C: test_long tries every line.


def interrupted(photo, painting, evaluation, **changes):
    """Break a run off at an evaluation; return it and its steps so far."""
    losses = own(painting, raise_at(evaluation))
    transfer = StyleTransfer(photo, None, dataclasses.replace(BARE, **changes), losses)
    steps = []
    with pytest.raises(KeyboardInterrupt):
        for step in transfer:
            steps.append(step)
    return transfer, steps


def test_ctrl_c_leaves_the_best_picture_and_a_run_that_goes_on(photo, painting):
    for optimizer, evaluations in (("lbfgs", (1, 2, 3, 5)), ("adam", (3,))):
        for evaluation in evaluations:
            transfer, steps = interrupted(
                photo, painting, evaluation, optimizer=optimizer
            )
            best = steps[-1].image if steps else resize(photo, 32)
            assert torch.equal(transfer.image, best)
            assert transfer.iteration == len(steps) - 1
            # It goes on from the last whole step, not from where it broke off.
            aim = dataclasses.replace(BARE, optimizer=optimizer)
            calm = StyleTransfer(photo, None, aim, own(painting))
            walk(calm, transfer.iteration)
            if steps:
                calm.losses = calm.losses
            more = list(transfer)
            for ours, theirs in zip(more, calm, strict=True):
                assert torch.equal(ours.image, theirs.image)
                assert ours.restarted == theirs.restarted
            assert [s.restarted for s in more if s.restarted] == [True] * bool(steps)
            steps += more
            assert [step.iteration for step in steps] == [0, 1, 2, 3, 4]
            assert transfer.reason == "steps done"
            totals = [step.losses["total"] for step in steps]
            if optimizer == "lbfgs":
                assert totals == sorted(totals, reverse=True)
            assert min(totals) == totals[-1]


def test_a_bend_is_told_even_if_ctrl_c_came_between(photo, painting):
    watch = raise_at(10**9)
    losses = own(painting, watch)
    transfer = StyleTransfer(photo, None, BARE, losses)
    next(transfer)
    losses[1].weight = 1.0
    watch.count = 10**9 - 1
    with pytest.raises(KeyboardInterrupt):
        next(transfer)
    steps = list(transfer)
    assert [step.restarted for step in steps] == [True, False, False, False]
    assert steps[0].weights["style"] == 1


def test_ctrl_c_while_the_picture_grows(photo, painting):
    whole = dataclasses.replace(BARE, size=64, scales=2)
    expected = list(StyleTransfer(photo, None, whole, own(painting)))
    for call in (1, 2):  # of the losses' look at what they aim at, after the start

        class Late(Watch):
            looks = 0

            def prepare(self, vgg, photo, call=call):
                self.looks += 1
                if self.looks == call + 1:
                    raise KeyboardInterrupt

        transfer = StyleTransfer(photo, None, whole, own(painting, Late()))
        steps = walk(transfer, 2)
        if call == 1:  # at the first step of the larger size
            with pytest.raises(KeyboardInterrupt):
                next(transfer)
        else:  # where somebody bends it just then
            steps += walk(transfer, 3)
            with pytest.raises(KeyboardInterrupt):
                transfer.image = transfer.image
        assert torch.equal(transfer.image, steps[-1].image)
        steps += list(transfer)
        assert [step.iteration for step in steps] == [0, 1, 2, 3, 4]
        widths = [step.image.shape[3] for step in steps]
        assert widths == [32, 32, 32, 64, 64]
        restarted = [step.restarted for step in steps]
        assert restarted == [0, 0, 0, 1, call == 2]
        assert steps[3].losses["style"] == pytest.approx(
            expected[3].losses["style"], rel=1e-3
        )


def test_a_run_broken_off_within_a_step_is_written_as_of_the_last_one(
    photo, painting, tmp_path
):
    for take_up in (handed_on, as_file(tmp_path / "run")):
        transfer, steps = interrupted(photo, painting, 5, steps=6)
        again = take_up(transfer, own(painting, Watch()))
        assert again.iteration == steps[-1].iteration
        assert torch.equal(again.image, steps[-1].image)
        more = list(again)
        for ours, theirs in zip(transfer, more, strict=True):
            assert torch.equal(ours.image, theirs.image)
            assert ours.losses == theirs.losses
        assert more[0].restarted and more[-1].iteration == 6
        assert again.reason == "steps done"


def test_an_error_of_a_loss_passes_and_the_run_goes_on(photo, painting):
    watch = raise_at(4, ZeroDivisionError("mine"))
    transfer = StyleTransfer(photo, None, BARE, own(painting, watch))
    with pytest.raises(ZeroDivisionError, match="mine"):
        list(transfer)
    iteration = transfer.iteration
    steps = list(transfer)
    assert steps[0].iteration == iteration + 1 and steps[-1].iteration == 4


def test_what_is_no_state_of_such_a_run_changes_nothing(photo, painting):
    other = StyleTransfer(photo.transpose(2, 3), painting, TINY)
    walk(other, 2)
    transfer = StyleTransfer(photo, painting, TINY)
    steps = walk(transfer, 2)
    part = transfer.state_dict()
    del part["_start"]
    for state, line in (
        (other.state_dict(), "a photo of another shape"),
        (part, "it has no _start"),
        ({}, "no state of a run"),
        (None, "no state of a run"),
    ):
        with pytest.raises(InputError, match=line):
            transfer.load_state_dict(state)
        assert torch.equal(transfer.image, steps[-1].image)
    next(transfer)


def test_torch_saves_and_loads_a_state_without_unpickling_code(photo, painting):
    transfer = StyleTransfer(photo, painting, TINY)
    walk(transfer, 2)
    file = io.BytesIO()
    torch.save(transfer.state_dict(), file)
    file.seek(0)
    again = StyleTransfer(photo, painting, TINY)
    again.load_state_dict(torch.load(file))
    assert same(list(again), list(transfer))
