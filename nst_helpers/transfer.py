"""The optimisation: a picture bends until its content and its style are right."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from .device import Network, accelerate, check_memory, load_network, pick_device
from .files import InputError
from .images import Picture, as_image, as_paintings, fit_shape
from .losses import Loss
from .optimizers import OPTIMIZERS
from .pixels import stretch
from .settings import Settings
from .spectrum import spectral_preconditioner
from .state import Resumable
from .step import Step
from .terms import Target, choose_losses, finish, first_image, fit_photo, need_float32


class StyleTransfer(Resumable):
    """Paint a photo in the manner of a painting, one Step at a time.

    `for step in StyleTransfer(photo, painting): ...` yields the start as iteration 0,
    then the picture after each. A loop left, even by Ctrl-C, can be taken up again.

    Args:
        photo: any picture that load_image takes; brought to settings.size.
        painting: another, of any shape; or a list, to be mixed.
        settings: every other choice.
        losses: instead of the settings' own; a painting then only serves the start.
        network: of load_network, if there is one already: to make it takes a while.

    Attributes:
        settings, losses, painting: assign others in mid-run, or change a loss's weight,
            to bend the picture; what is refused changes nothing.
        image: the picture of lowest total, (1, 3, H, W) in [0, 1], on the CPU; assign
            another of its proportions, in any size, to go on from that.
        iteration: of the last Step; -1 before the first.
        reason: "steps done", "converged", "stopped" or "not finite"; None in the loop.
        precision: of the network's numbers, "float32" or "bfloat16".
        vgg, device: the network, and where it computes.

    Raises:
        InputError: what is no image, cannot be had, has no effect or cannot change in
            mid-run; or a size too small, or too large for the memory.

    Source: Gatys et al. 2016, section 2.3. Departures: relative losses, two more terms,
    weights of layers, the start, the border, the variables (spectral_preconditioner).
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        photo: Picture,
        painting: Picture | Sequence[Picture] | None = None,
        settings: Settings = Settings(),
        losses: Sequence[Loss] | None = None,
        network: Network | None = None,
    ) -> None:
        self._photo, painting = as_image(photo, "photo").clone(), as_paintings(painting)
        self._painting, self._settings, self._own_losses = painting, settings, losses
        self._losses = choose_losses(painting, settings, losses)
        self.device = pick_device(settings.device)
        check_memory(self._photo, self._losses, settings)
        network = network or load_network(settings, self.device)
        self._plain_vgg, self.vgg, self.precision = network
        self._seconds, self._evaluations, self._first_precision = 0.0, 0, self.precision
        self.iteration, self._stopping, self._target = -1, False, None
        self._halvings = settings.halvings_at(0)  # of the size, while coarse to fine
        self._aim(image=first_image(self._photo, painting, self._losses, settings))

    photo = property(attrgetter("_photo"))  # to read; to assign others bends the run
    painting = property(attrgetter("_painting"), lambda self, x: self._bend(painting=x))
    settings = property(attrgetter("_settings"), lambda self, x: self._bend(settings=x))
    losses = property(attrgetter("_losses"), lambda self, x: self._bend(losses=x))
    image = property(
        lambda self: finish(self._best[1], self._photo, self._settings),
        lambda self, x: self._aim(image=fit_shape(x, self._target.photo)),
    )

    def stop(self) -> None:
        """End the run before its next step; any thread may call this."""
        self._stopping = True

    def __iter__(self) -> "StyleTransfer":
        """Take the run up where it is."""
        self.reason = None
        return self

    @torch.inference_mode(False)
    def __next__(self) -> Step:
        """Do one iteration and return its Step."""
        if self._stopping:
            self.reason, self._stopping = "stopped", False
        elif self.iteration >= self._settings.steps:
            self.reason = "steps done"
        if self.reason:
            raise StopIteration
        try:
            return self._take_step()
        except BaseException:  # Ctrl-C too: go on from the last whole step
            self._optimizer = None
            raise

    def _take_step(self) -> Step:
        """Let the optimiser move, and tell where it is."""
        began = time.perf_counter()
        halvings = min(self._halvings, self._settings.halvings_at(self.iteration))
        weights = [loss.weight for loss in self._losses]
        optimizer = self._optimizer
        if halvings < self._halvings or weights != self._target.given:
            self._aim(_halvings=halvings)
        if self._optimizer is None:
            self._reset_optimizer()
        if self.iteration >= 0:
            self._move()
        self._closure()  # mostly known from the line search
        self._accepted, losses, _ = self._last
        image = self._picture()
        if losses["total"] <= self._best[0]:
            self._best = losses["total"], image
        restarted = self._optimizer is not optimizer and self.iteration >= 0
        self._seconds += time.perf_counter() - began
        self.iteration += 1
        image = finish(image, self._photo, self._settings)
        done = self.iteration, self._evaluations, self._seconds, image, losses
        return Step(*done, self._target.weights, restarted, self._settings)

    def _move(self) -> None:
        """Take a step; if there is no way down, try float32, then the next size."""
        self._optimizer.step(self._closure)
        if not torch.equal(self._accepted, self._variables):
            return
        if self._settings.precision == "auto" and self.precision != "float32":
            self._aim(precision="float32")  # the line search stumbled over the rounding
        elif self._halvings:
            self._aim(_halvings=self._halvings - 1)
        else:
            self.reason = "converged"
            raise StopIteration  # out of the optimiser and of the loop
        self._reset_optimizer()
        self._move()

    def _closure(self) -> float:
        """Tell the optimiser loss and gradient; it asks twice where a search ended."""
        if self._last is None or not torch.equal(self._last[0], self._variables):
            self._last = self._evaluate(self._variables)
        _, losses, self._variables.grad = self._last
        return self._target.factor * losses["total"]

    @torch.enable_grad()
    def _evaluate(self, z: Tensor) -> tuple[Tensor, dict[str, float], Tensor]:
        """Compute losses and gradient at z: the closure of lesson 6.

        L = factor · Σ weight · loss, of the pixels x = x₀ + spectral_preconditioner(z)
        """
        z.grad, target = None, self._target
        pixels = self._start + spectral_preconditioner(z)
        features = target.vgg(pixels, target.layers)
        losses = {term.name: term(pixels, features) for term in target.terms}
        losses["total"] = sum(target.weights[n] * losses[n] for n in losses)
        (target.factor * losses["total"]).backward()
        self._evaluations += 1
        losses = {name: loss.item() for name, loss in losses.items()}
        if not math.isfinite(losses["total"]):
            self.reason = "not finite"
            raise StopIteration  # out of the optimiser and of the loop
        return z.detach().clone(), losses, z.grad

    def _reset_optimizer(self) -> None:
        """Begin at the last whole step, knowing nothing of the loss surface."""
        self._variables = self._accepted.clone().requires_grad_()
        self._optimizer = OPTIMIZERS[self._settings.optimizer]([self._variables])

    def _picture(self) -> Tensor:
        """Return the picture of the last whole step."""
        pixels = self._start + spectral_preconditioner(self._accepted)
        return pixels.clamp(0, 1).cpu()

    def _bend(self, **given: Any) -> None:
        """Take up other settings, another painting or losses, or refuse them."""
        old, new = self._settings, given.get("settings", self._settings)
        if given == {"settings": replace(old, steps=new.steps)}:
            self._settings, self.reason = new, None  # the same loss surface
            return
        old.check_change(new)
        painting = as_paintings(given.get("painting", self._painting))
        own = given.get("losses", self._own_losses)
        if "painting" in given and own is not None:
            raise InputError("the paintings are in the losses; assign other losses")
        losses = choose_losses(painting, new, own)
        if new.size > old.size:
            check_memory(self._photo, losses, new)
        self._aim(_settings=new, _painting=painting, _own_losses=own, _losses=losses)

    @torch.inference_mode(False)
    def _aim(self, image: Tensor | None = None, **new: Any) -> None:
        """Aim at something else, or in another size; the optimiser begins anew.

        _start is x₀, _accepted z after the last whole step, _last the last evaluation,
        _best total and picture. All are set at once: Ctrl-C may come at any time.
        """
        after, vgg = vars(self) | new, self.vgg  # all attributes, as they will be
        exact = need_float32(after["_losses"]) and self._settings.precision == "auto"
        new.setdefault("precision", "float32" if exact else self._first_precision)
        if new["precision"] != self.precision:
            vgg, new["precision"] = accelerate(self._plain_vgg, new["precision"])
        of = (after[name] for name in ("_painting", "_settings", "_halvings"))
        photo = fit_photo(self._photo, *of).to(self.device)
        if image is not None or self._start.shape != photo.shape:
            image = self._picture() if image is None else image.cpu()
            image = stretch(image, *photo.shape[2:])
            new["_start"] = image.to(self.device).contiguous().clone()
            new["_accepted"] = torch.zeros_like(new["_start"])
        new["_best"] = math.inf, self._picture() if image is None else image
        try:
            new["_target"] = Target(vgg, photo, after["_losses"])
            vars(self).update(new, vgg=vgg, _last=None, _optimizer=None, reason=None)
        except BaseException as error:
            if self._target and not isinstance(error, InputError):
                self._target.given = None  # half computed: the next step does it anew
            raise
