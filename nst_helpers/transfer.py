"""The optimisation: a picture bends until its content and its style are right."""

import inspect
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import NoReturn

import torch
from torch import Tensor

from .budget import (
    check_memory,
    memory_needed,
    pick_device,
    pick_history,
    pick_precision,
)
from .checkpoint import read_checkpoint, write_checkpoint
from .files import InputError
from .frequencies import scale_frequencies
from .images import fit_inside, resize, stretch
from .losses import gram_matrix
from .objective import losses_and_gradient
from .settings import TERMS, Settings
from .vgg import VGG19

COARSE_STEPS = 40  # at most, at each size but the last; more gain nothing there
FIXED = ("start", "seed", "weights", "pooling", "device", "precision", "scales")
ADAM_LR = 0.02  # of the way from black to white, a step
FIRST_MOVE = 0.02  # of a variable, on average; PyTorch's own is 1 for all together
PATIENCE = 5  # evaluations in one step, before we blame the rounding
# What a checkpoint holds besides pictures, settings and optimiser.
SAVED = (
    "iteration",
    "_best",
    "_known",
    "_bent",
    "_first_precision",
    "_seconds",
    "_evaluations",
)
SMALL = 120_000  # pixels of the trial run that forecasts the time of a large one


@dataclass(frozen=True)
class Step:
    """Hold the picture after one iteration.

    Args:
        iteration: 0 is the start.
        evaluations: how often the loss and its gradient were computed so far.
        seconds: time spent computing so far.
        image: (1, 3, H, W) in [0, 1], on the CPU.
        losses: {"content", "style", "tv", "range"}: relative losses before weighting
            (a term of weight 0 is left out), and "total", the weighted sum; they are of
            the pixels before these were cut off at 0 and 1 for the image.
        restarted: the loss surface was bent, or the picture moved, just before this
            step, so the optimiser forgot what it had learnt.
        settings: it was made with.
    """

    iteration: int
    evaluations: int
    seconds: float
    image: Tensor
    losses: dict[str, float]
    restarted: bool
    settings: Settings


class _NotFiniteError(ArithmeticError):
    """Leave a line search that met a loss which is no number."""


class _LBFGS(torch.optim.LBFGS):
    """Do without PyTorch's compiler: to import it takes a second and 0.1 GB.

    These methods are wrapped in what imports it, only to be left uncompiled.
    """

    add_param_group = inspect.unwrap(torch.optim.LBFGS.add_param_group)
    state_dict = inspect.unwrap(torch.optim.LBFGS.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.LBFGS.load_state_dict)


class StyleTransfer:
    """Paint a photo in the manner of a painting, one Step at a time.

    `for step in StyleTransfer(photo, painting): ...` yields the start as iteration 0,
    then the picture after each iteration. Another `settings`, `painting` or `image` may
    be assigned in mid-run and takes effect at the next step. A loop that was left, even
    by Ctrl-C, can be taken up again by another `for`.

    Args:
        photo: (1, 3, H, W) in [0, 1]; brought to settings.size.
        painting: (1, 3, H, W) in [0, 1], of any shape; its long side is brought to
            settings.size too. Or two of them, which settings.mix mixes.
        settings: every other choice.

    Attributes:
        iteration: of the last Step; -1 before the first.
        reason: why the last loop ended: "steps done", "converged", "stopped" or
            "not finite"; None while it runs.
        precision: of the last Step, "float32" or "bfloat16". Where settings.precision
            is "auto", the faster one begins, and float32 takes over when the line
            search stumbles over the rounding; losses may jump by 0.3 % then.

    Raises:
        InputError: what is no image, weights or a device that cannot be had, or a
            picture too large for this computer's memory.

    Source: Gatys et al. 2016, section 2.3. Departures: relative losses, a smoothness
    and a range term, more weight on early style layers, start from the photo, and
    variables that are not pixels, see scale_frequencies.
    """

    def __init__(
        self,
        photo: Tensor,
        painting: Tensor | Sequence[Tensor],
        settings: Settings = Settings(),
    ) -> None:
        self._device = pick_device(settings.device)
        self._seconds, self._evaluations = 0.0, 0
        self._stopping = self._midway = False
        self.iteration = -1
        self.reason: str | None = None
        # The size is halved so often as long as the picture is coarse.
        self._fit(photo, painting, settings, settings.scales - 1)
        self._check_memory(settings)
        network = VGG19(settings.weights, settings.pooling, settings.seed)
        self._network = self._vgg = network.to(self._device)
        self._first_precision = pick_precision(self._device, settings.precision)
        self.precision = "float32"
        self._move(self._start())
        self._aim()
        self._bent = False

    @property
    def image(self) -> Tensor:
        """The best picture so far, (1, 3, H, W) in [0, 1]: the one of lowest total.

        Assign another of the photo's shape, in any size, to go on from it.

        Raises:
            InputError: no image, or another shape.
        """
        return self._best[1]

    @image.setter
    def image(self, image: Tensor) -> None:
        image = _prepare(image, "image", max(self._photo.shape))
        height, width = self._photo.shape[2:]
        if abs(image.shape[2] - height) > 1 or abs(image.shape[3] - width) > 1:
            raise InputError(
                f"to go on from an image, give one shaped {width}x{height}"
            )
        self._move(image)

    @property
    def photo(self) -> Tensor:
        """The photo as it was given, (1, 3, H, W) in [0, 1]."""
        return self._originals[0]

    @property
    def painting(self) -> Tensor | Sequence[Tensor]:
        """The painting, or the two, as given; assign others to bend the picture.

        Raises:
            InputError: more than two, no image, one too thin for settings.size, or one
                only where settings.mix needs two.
        """
        return self._originals[1]

    @painting.setter
    def painting(self, painting: Tensor | Sequence[Tensor]) -> None:
        self._fit(self._originals[0], painting, self._settings, self._halvings)

    @property
    def settings(self) -> Settings:
        """The settings of the next step; assign others to bend the picture.

        Raises:
            InputError: start, seed, weights, pooling, device, precision or scales
                would change, a mix has no second painting, or the size makes a side
                shorter than 16 pixels or needs more memory than there is.
        """
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        for name in FIXED:
            if getattr(settings, name) != getattr(self._settings, name):
                raise InputError(f"{name} cannot change in mid-run; start a new one")
        if settings.size > self._settings.size:
            self._vgg.release()
            self._check_memory(settings)
        if settings.size != self._settings.size:
            self._grow(settings, self._halvings)
        _check_mix(settings, len(self._paintings))
        self._settings = settings

    def stop(self) -> None:
        """End the run before its next step; any thread may call this."""
        self._stopping = True

    def save(self, path: str | os.PathLike) -> None:
        """Write all that is needed to go on later: pictures, settings, optimiser.

        Args:
            path: the file to write, whole or not at all.

        Raises:
            InputError: it cannot be written.
        """
        if self._midway:
            self._step_back()
        self._notice()
        photo, painting = self._originals
        state = {
            "photo": photo,
            "painting": painting,
            "settings": asdict(self._settings),
            "halvings": self._halvings,
            "precision": self.precision,
            "origin": self._origin,
            "variables": self._accepted,
            "optimizer": self._optimizer.state_dict()["state"],
        }
        write_checkpoint(path, state | {name: getattr(self, name) for name in SAVED})

    @classmethod
    def resume(cls, path: str | os.PathLike) -> "StyleTransfer":
        """Take up a run where save left it; it goes on bit for bit as it would have.

        Args:
            path: the file that save wrote.

        Returns:
            The run.

        Raises:
            InputError: no such file, a damaged one, or a device or memory that cannot
                be had.
        """
        state = read_checkpoint(path)
        settings = Settings(**state["settings"])
        # At one scale, from the photo: since it began, the pictures may have become too
        # thin for the coarsest scale, or the painting for a start.
        whole = replace(settings, scales=1, start="content")
        transfer = cls(state["photo"], state["painting"], whole)
        transfer._grow(settings, state["halvings"])
        # Of another shape than the photo, if Ctrl-C broke off the growing.
        device = transfer._device
        transfer._origin = state["origin"].to(device)
        transfer._variables = state["variables"].to(device)
        transfer._accepted = transfer._variables.clone()
        transfer._aim()
        transfer._target(state["precision"])
        optimizer = transfer._optimizer.state_dict() | {"state": state["optimizer"]}
        transfer._optimizer.load_state_dict(optimizer)
        for name in SAVED:
            setattr(transfer, name, state[name])
        transfer._known = [
            (x.to(device), y, g.to(device)) for x, y, g in state["_known"]
        ]
        return transfer

    def __iter__(self) -> "StyleTransfer":
        """Take the run up where it is."""
        self.reason = None
        return self

    def __next__(self) -> Step:
        """Do one iteration and return its Step."""
        if self._stopping:
            self._end("stopped")
        if self.iteration >= self._settings.steps:
            self._end("steps done")
        began = time.perf_counter()
        if self._midway:  # Ctrl-C broke the last step off
            self._step_back()
        self._midway = True
        aim = self._settings
        coarse_done = max(0, self.iteration) // _coarse_steps(aim)
        halvings = min(self._halvings, max(0, aim.scales - 1 - coarse_done))
        # The shapes differ if Ctrl-C broke off its growing.
        if halvings < self._halvings or self._origin.shape != self._photo.shape:
            self._grow(aim, halvings)
        if self._notice():
            self._aim()
        try:
            if self.iteration >= 0 and not self._advance():
                # Memory of far-off places can mislead a line search: once more
                # without it.
                self._forget()
                if not self._advance():
                    if not self._halvings:
                        self._end("converged")
                    self._grow(aim, self._halvings - 1)
                    self._aim()
            losses, gradient = self._evaluate()
        except _NotFiniteError:
            self._end("not finite")
        variables = self._variables.detach().clone()
        self._accepted, self._known = variables, [(variables, losses, gradient)]
        image = self._shown()
        if losses["total"] <= self._best[0]:
            self._best = losses["total"], image
        self._seconds += time.perf_counter() - began
        step = Step(
            iteration=self.iteration + 1,
            evaluations=self._evaluations,
            seconds=self._seconds,
            image=image,
            losses=losses,
            restarted=self._bent,
            settings=self._settings,
        )
        self.iteration += 1
        self._midway = self._bent = False
        return step

    def _advance(self) -> bool:
        """Let the optimiser take a step; tell whether it got anywhere."""
        before, fresh = self._evaluations, not self._optimizer.state
        if self._aimed_at.optimizer == "lbfgs":
            # Its first step has this length over the 1-norm of the gradient; then the
            # curvature that it has seen decides.
            self._optimizer.param_groups[0]["lr"] = (
                FIRST_MOVE * self._variables.numel() if fresh else 1
            )
        self._optimizer.step(self._closure)
        moved = not torch.equal(self._accepted, self._variables)
        stumbled = not fresh and self._evaluations - before > PATIENCE
        if (
            (stumbled or not moved)
            and self._aimed_at.precision == "auto"
            and self.precision != "float32"
        ):
            self._target("float32")
        return moved

    def _notice(self) -> bool:
        """Find out whether the loss surface is another than at the last step."""
        if not self._bent:
            same = replace(self._aimed_at, steps=self._settings.steps)
            self._bent = same != self._settings
        return self._bent

    def _step_back(self) -> None:
        """Return to firm ground: the end of the last whole step."""
        self._variables.data.copy_(self._accepted)
        self._forget()
        self._midway = False

    def _end(self, reason: str) -> NoReturn:
        """Leave the loop, saying why."""
        self.reason, self._stopping = reason, False
        self._vgg.release()
        raise StopIteration

    def _fit(
        self,
        photo: Tensor,
        painting: Tensor | Sequence[Tensor],
        settings: Settings,
        halvings: int,
    ) -> None:
        """Take up pictures at the size of the settings, so often halved."""
        paintings = _listed(painting)
        if len(paintings) not in (1, 2):
            raise InputError(f"give one painting or two, not {len(paintings)}")
        _check_mix(settings, len(paintings))
        size, device = settings.size >> halvings, self._device
        at = " at the coarsest scale" if halvings else ""
        fitted = [_prepare(photo, "photo" + at, size).to(device)]
        fitted += [_prepare(x, "painting" + at, size).to(device) for x in paintings]
        targets = [{} for _ in paintings]
        # In this order, and with no call between, Ctrl-C leaves nothing half done.
        self._bent = True
        self._photo, self._paintings = fitted[0], fitted[1:]
        self._content, self._grams = {}, targets
        self._halvings = halvings
        self._originals, self._settings = (photo, painting), settings

    def _move(self, image: Tensor) -> None:
        """Go on from an image, brought to the photo's size."""
        image = stretch(image, *self._photo.shape[2:]).to(self._device)
        still, accepted = torch.zeros_like(image), torch.zeros_like(image)
        best = math.inf, image.clamp(0, 1).cpu()
        self._best, self._bent = best, True
        self._origin, self._variables, self._accepted = image, still, accepted

    def _check_memory(self, settings: Settings) -> None:
        """Refuse a size that this computer has no memory for."""
        if self._device.type == "cpu":
            photo, painting = self._originals
            check_memory(photo, _listed(painting), settings)

    def _grow(self, settings: Settings, halvings: int) -> None:
        """Go on at the size of the settings, so often halved."""
        self._fit(*self._originals, settings, halvings)
        self._move(self._shown())

    def _start(self) -> Tensor:
        """Return the picture to start from, (1, 3, H, W)."""
        if self._settings.start == "content":
            return self._photo
        if self._settings.start == "style":
            return fit_inside(self._paintings[0], *self._photo.shape[2:])
        generator = torch.Generator().manual_seed(self._settings.seed)
        return torch.rand(self._photo.shape, generator=generator)

    def _aim(self) -> None:
        """Compute what the settings ask for, and start the optimiser anew."""
        aim = self._settings
        # Only the weights' ratio matters: the tolerances of L-BFGS always meet a loss
        # of the same size.
        self._scale = 100 / sum(getattr(aim, f"{name}_weight") for name in TERMS)
        # A term or a layer of weight 0 is left out: it costs no time.
        content = aim.content_layers if aim.content_weight else {}
        style = aim.style_layers if aim.style_weight else {}
        self._content_layers = {name: w for name, w in content.items() if w}
        self._style_layers = {name: w for name, w in style.items() if w}
        self._aimed_at = aim
        self._target(self._first_precision)
        self._forget()

    def _target(self, precision: str) -> None:
        """Compute features of the photo and Gram matrices of the paintings.

        Those of another precision count no more. They are float32 in any precision,
        and so are, by torch's rules, all losses.
        """
        vgg, content, targets = self._vgg, self._content, self._grams
        vgg.release()  # to look takes memory too
        if precision != self.precision:
            exact = precision == "float32"
            vgg = self._network if exact else self._network.in_bfloat16()
            content, targets = {}, [{} for _ in self._paintings]
        with torch.no_grad():
            new = self._content_layers.keys() - content.keys()
            features = vgg(self._photo, new)
            content |= {n: f.float() for n, f in features.items()}
            for painting, grams in zip(self._paintings, targets, strict=True):
                new = self._style_layers.keys() - grams.keys()
                features = vgg(painting, new)
                grams |= {n: gram_matrix(f).float() for n, f in features.items()}
        # Only now: Ctrl-C may come at any time.
        self._vgg, self.precision = vgg, precision
        self._content, self._grams = content, targets
        first, last = targets[0], targets[-1]
        mix = self._aimed_at.mix
        self._style = {n: torch.lerp(first[n], last[n], mix) for n in first}
        self._known, self._best = [], (math.inf, self.image)

    def _forget(self) -> None:
        """Start the optimiser anew, knowing nothing of the loss surface."""
        self._variables.requires_grad_()
        if self._aimed_at.optimizer == "adam":
            self._optimizer = torch.optim.Adam([self._variables], lr=ADAM_LR)
        else:
            # One iteration a step, so that there is a picture to see after each. The
            # tolerances are absolute and would end a run for its small numbers.
            self._optimizer = _LBFGS(
                [self._variables],
                max_iter=1,
                max_eval=26,
                tolerance_grad=0,
                tolerance_change=0,
                history_size=pick_history(self._variables.numel()),
                line_search_fn="strong_wolfe",
            )

    def _closure(self) -> float:
        """Tell the optimiser the loss and its gradient where the variables are now."""
        losses, self._variables.grad = self._evaluate()
        return self._scale * losses["total"]

    def _evaluate(self) -> tuple[dict[str, float], Tensor]:
        """Compute the losses, and the gradient of their scaled total.

        A step of L-BFGS begins by asking for the point where the last line search
        ended: what was computed there is kept, and not computed twice.
        """
        for variables, losses, gradient in self._known:
            if torch.equal(variables, self._variables):
                return losses, gradient
        terms, gradient = losses_and_gradient(
            self._vgg,
            self._pixels(self._variables.detach()),
            self._photo,
            {name: self._content[name] for name in self._content_layers},
            {name: self._style[name] for name in self._style_layers},
            self._aimed_at,
        )
        gradient = scale_frequencies(self._scale * gradient)  # by the chain rule
        self._evaluations += 1
        losses = {name: term.item() for name, term in terms.items()}
        if not math.isfinite(losses["total"]):
            raise _NotFiniteError
        self._known.append((self._variables.detach().clone(), losses, gradient))
        return losses, gradient

    def _pixels(self, variables: Tensor) -> Tensor:
        """Return the picture that variables stand for."""
        return self._origin + scale_frequencies(variables)

    def _shown(self) -> Tensor:
        """Return the picture of the last whole step."""
        return self._pixels(self._accepted).clamp(0, 1).cpu()


def _coarse_steps(settings: Settings) -> int:
    """Tell how many steps are taken at each size but the last."""
    return min(settings.steps // settings.scales, COARSE_STEPS)


def _listed(painting: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """List one painting, or two."""
    return [painting] if isinstance(painting, Tensor) else list(painting)


def _check_mix(settings: Settings, paintings: int) -> None:
    """Refuse to mix one painting."""
    if settings.mix and paintings == 1:
        raise InputError(f"a mix of {settings.mix:g} needs a second painting")


def _prepare(image: Tensor, name: str, size: int) -> Tensor:
    """Check an image and bring it to its size."""
    if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[:2] != (1, 3):
        raise InputError(f"the {name} is no image tensor (1, 3, H, W); use load_image")
    if not ((image >= 0) & (image <= 1)).all():
        raise InputError(f"the {name} has numbers outside [0, 1]; use load_image")
    return resize(image.detach(), size, f"the {name}").float()


def stylize(
    photo: Tensor, painting: Tensor | Sequence[Tensor], settings: Settings = Settings()
) -> Tensor:
    """Paint a photo in the manner of a painting, to the end.

    Args:
        photo: (1, 3, H, W) in [0, 1].
        painting: (1, 3, H, W) in [0, 1], or two of them, which settings.mix mixes.
        settings: every other choice.

    Returns:
        (1, 3, h, w) in [0, 1], the best picture; its long side is settings.size.

    Raises:
        InputError: as StyleTransfer does.
    """
    transfer = StyleTransfer(photo, painting, settings)
    for _ in transfer:
        pass
    return transfer.image


def forecast(
    photo: Tensor, painting: Tensor | Sequence[Tensor], settings: Settings = Settings()
) -> tuple[float, float]:
    """Estimate what a run will cost on this computer, by trying a small one.

    Args:
        photo: (1, 3, H, W) in [0, 1].
        painting: (1, 3, H, W) in [0, 1], or two of them.
        settings: of the run.

    Returns:
        Seconds, and gigabytes of memory at the peak besides those already in use, as
        on the CPU, whatever the device.

    Raises:
        InputError: as StyleTransfer does, except that memory for a small trial is
            enough; or the loss is no number.
    """
    paintings = _listed(painting)
    pictures = [_prepare(x, "picture", settings.size) for x in (photo, *paintings)]
    ratios = [max(x.shape) / min(x.shape[2:]) for x in pictures]
    size = math.ceil(max((SMALL * ratios[0]) ** 0.5, 17 * max(ratios)))
    size = min(settings.size, size)
    trial = replace(settings, size=size, scales=1, steps=5)
    moments = [step.seconds for step in StyleTransfer(photo, painting, trial)]
    if not moments:
        raise InputError("the loss is no number from the start; try other weights")
    # The first one also sets things up; a perfect match goes no further. The quickest
    # of the others counts: small pictures are a little slower, for their size.
    a_step = min((b - a for a, b in pairwise(moments)), default=moments[0])
    seconds = max(0, moments[0] - a_step)
    large, small = (x[0, 0].numel() for x in (pictures[0], resize(photo, size)))
    coarse = _coarse_steps(settings)
    for i in range(settings.scales):
        steps = coarse if i else settings.steps - (settings.scales - 1) * coarse
        # The time of a step grows like the number of pixels.
        seconds += large / 4**i / small * a_step * (steps + 1)
    return seconds, memory_needed(photo, paintings, settings)
