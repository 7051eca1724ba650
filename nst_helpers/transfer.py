"""The optimisation: a picture bends until its content and its style are right."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import NoReturn

import torch
from torch import Tensor

from .checkpoint import read_checkpoint, write_checkpoint
from .files import InputError
from .images import fit_inside, resize, stretch
from .losses import content_loss, gram_matrix, range_loss, style_loss, tv_loss
from .settings import Settings
from .vgg import VGG19

RANGE_WEIGHT = 50.0  # times the other three: cutting off then moves no loss by 1 %
ADAM_RATE = 0.02  # of the way from black to white, a step
# What a checkpoint holds besides pictures, settings and optimiser.
SAVED = ("_best", "_known", "_bent", "_seconds", "_evaluations", "iteration")
HISTORY = 20  # steps that L-BFGS remembers; 100 gets no further and fills memory


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


class NotFiniteError(ArithmeticError):
    """Leave a line search that met a loss which is no number."""


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

    Raises:
        InputError: what is no image, or weights or a device that cannot be had.

    Source: Gatys et al. 2016, section 2.3. Departures: relative losses, a smoothness
    and a range term, more weight on early style layers, start from the photo.
    """

    def __init__(
        self,
        photo: Tensor,
        painting: Tensor | Sequence[Tensor],
        settings: Settings = Settings(),
    ) -> None:
        self._device = pick_device(settings.device)
        self._fit(photo, painting, settings)
        self._vgg = VGG19(settings.weights, settings.pooling, settings.seed)
        self._vgg.to(self._device)
        self._seconds, self._evaluations = 0.0, 0
        self._stopping = self._midway = False
        self.iteration = -1
        self.reason: str | None = None
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
        image = _prepare(image, "image", self._settings.size)
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
            InputError: more than two, or no image.
        """
        return self._originals[1]

    @painting.setter
    def painting(self, painting: Tensor | Sequence[Tensor]) -> None:
        self._fit(self._originals[0], painting, self._settings)

    @property
    def settings(self) -> Settings:
        """The settings of the next step; assign others to bend the picture.

        Raises:
            InputError: start, seed, weights, pooling or device would change, a mix has
                no second painting, or the size makes a side shorter than 16 pixels.
        """
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        for name in ("start", "seed", "weights", "pooling", "device"):
            if getattr(settings, name) != getattr(self._settings, name):
                raise InputError(f"{name} cannot change in mid-run; start a new one")
        if settings.size != self._settings.size:
            self._fit(*self._originals, settings)
            self._move(_shown(self._accepted))
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
            "pixels": self._accepted,
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
            InputError: no such file, a damaged one, or a device that cannot be had.
        """
        state = read_checkpoint(path)
        settings = Settings(**state["settings"])
        transfer = cls(state["photo"], state["painting"], settings)
        transfer._move(state["pixels"])
        transfer._forget()
        optimizer = transfer._optimizer.state_dict() | {"state": state["optimizer"]}
        transfer._optimizer.load_state_dict(optimizer)
        for name in SAVED:
            setattr(transfer, name, state[name])
        device = transfer._device
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
        if self._notice():
            self._aim()
        try:
            if self.iteration >= 0:  # iteration 0 is the start itself
                self._optimizer.step(self._closure)
                if torch.equal(self._accepted, self._pixels):
                    # Memory of far-off places can mislead a line search: once more
                    # without it.
                    self._forget()
                    self._optimizer.step(self._closure)
                    if torch.equal(self._accepted, self._pixels):
                        self._end("converged")
            losses, gradient = self._evaluate()
        except NotFiniteError:
            self._end("not finite")
        image, pixels = _shown(self._pixels), self._pixels.detach().clone()
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
        self._accepted, self._known = pixels, [(pixels, losses, gradient)]
        self.iteration += 1
        self._midway = self._bent = False
        return step

    def _notice(self) -> bool:
        """Find out whether the loss surface is another than at the last step."""
        if not self._bent:
            same = replace(self._aimed_at, steps=self._settings.steps)
            self._bent = same != self._settings
        return self._bent

    def _step_back(self) -> None:
        """Return to firm ground: the end of the last whole step."""
        self._pixels.data.copy_(self._accepted)
        self._forget()
        self._midway = False

    def _end(self, reason: str) -> NoReturn:
        """Leave the loop, saying why."""
        self.reason, self._stopping = reason, False
        raise StopIteration

    def _fit(
        self, photo: Tensor, painting: Tensor | Sequence[Tensor], settings: Settings
    ) -> None:
        """Take up pictures at the size of the settings."""
        paintings = [painting] if isinstance(painting, Tensor) else list(painting)
        if len(paintings) not in (1, 2):
            raise InputError(f"give one painting or two, not {len(paintings)}")
        _check_mix(settings, len(paintings))
        size, device = settings.size, self._device
        fitted = [_prepare(photo, "photo", size).to(device)]
        fitted += [_prepare(x, "painting", size).to(device) for x in paintings]
        self._originals, self._settings = (photo, painting), settings
        self._photo, *self._paintings = fitted
        self._content, self._grams = {}, [{} for _ in paintings]
        self._bent = True

    def _move(self, image: Tensor) -> None:
        """Go on from an image, brought to the photo's size."""
        image = stretch(image, *self._photo.shape[2:])
        self._pixels = image.to(self._device).clone().requires_grad_()
        self._accepted = self._pixels.detach().clone()
        self._best = math.inf, _shown(self._pixels)
        self._bent = True

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
        self._weights = {
            "content": aim.content_weight,
            "style": aim.style_weight,
            "tv": aim.tv_weight,
        }
        together = sum(self._weights.values())
        self._weights["range"] = RANGE_WEIGHT * together
        # Only the weights' ratio matters: the tolerances of L-BFGS always meet a loss
        # of the same size.
        self._scale = 100 / together
        # A term or a layer of weight 0 is left out: it costs no time.
        content = aim.content_layers if aim.content_weight else {}
        style = aim.style_layers if aim.style_weight else {}
        self._content_layers = {name: w for name, w in content.items() if w}
        self._style_layers = {name: w for name, w in style.items() if w}
        with torch.no_grad():
            new = self._content_layers.keys() - self._content.keys()
            self._content |= self._vgg(self._photo, new)
            for painting, grams in zip(self._paintings, self._grams, strict=True):
                new = self._style_layers.keys() - grams.keys()
                features = self._vgg(painting, new)
                grams |= {name: gram_matrix(f) for name, f in features.items()}
        first, last = self._grams[0], self._grams[-1]
        self._style = {n: torch.lerp(first[n], last[n], aim.mix) for n in first}
        self._aimed_at, self._known, self._best = aim, [], (math.inf, self.image)
        self._forget()

    def _forget(self) -> None:
        """Start the optimiser anew, knowing nothing of the loss surface."""
        if self._aimed_at.optimizer == "adam":
            self._optimizer = torch.optim.Adam([self._pixels], lr=ADAM_RATE)
        else:
            # One iteration a step, so that there is a picture to see after each. The
            # tolerances are absolute and would end a run for its small numbers.
            self._optimizer = torch.optim.LBFGS(
                [self._pixels],
                max_iter=1,
                max_eval=26,
                tolerance_grad=0,
                tolerance_change=0,
                history_size=HISTORY,
                line_search_fn="strong_wolfe",
            )

    def _closure(self) -> float:
        """Tell the optimiser the loss and its gradient where the pixels are now."""
        losses, self._pixels.grad = self._evaluate()
        return self._scale * losses["total"]

    def _evaluate(self) -> tuple[dict[str, float], Tensor]:
        """Compute the losses, and the gradient of their scaled total, at the pixels.

        A step of L-BFGS begins by asking for the point where the last line search
        ended: what was computed there is kept, and not computed twice.
        """
        for pixels, losses, gradient in self._known:
            if torch.equal(pixels, self._pixels):
                return losses, gradient
        with torch.enable_grad():
            features = self._vgg(
                self._pixels, self._content_layers.keys() | self._style_layers.keys()
            )
            terms = {}
            if self._content_layers:
                terms["content"] = content_loss(
                    features, self._content, self._content_layers
                )
            if self._style_layers:
                terms["style"] = style_loss(features, self._style, self._style_layers)
            if self._weights["tv"]:
                terms["tv"] = tv_loss(self._pixels, self._photo)
            terms["range"] = range_loss(self._pixels)
            terms["total"] = sum(self._weights[name] * terms[name] for name in terms)
            loss = self._scale * terms["total"]
            (gradient,) = torch.autograd.grad(loss, self._pixels)
        self._evaluations += 1
        losses = {name: term.item() for name, term in terms.items()}
        if not math.isfinite(losses["total"]):
            raise NotFiniteError
        self._known.append((self._pixels.detach().clone(), losses, gradient))
        return losses, gradient


def _shown(pixels: Tensor) -> Tensor:
    """Copy pixels to a picture that can be shown."""
    return pixels.detach().clamp(0, 1).cpu()


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


def pick_device(name: str = "auto") -> torch.device:
    """Choose where to compute.

    Args:
        name: "auto" (the best there is), "cpu", "cuda" or "mps".

    Returns:
        The device.

    Raises:
        InputError: there is no such device here.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device in available if available[device])
    if not available[name]:
        raise InputError(f"no {name} device here; choose 'auto' or 'cpu'")
    return torch.device(name)


def stylize(photo: Tensor, painting: Tensor, settings: Settings = Settings()) -> Tensor:
    """Paint a photo in the manner of a painting, to the end.

    Args:
        photo: (1, 3, H, W) in [0, 1].
        painting: (1, 3, H, W) in [0, 1].
        settings: every other choice.

    Returns:
        (1, 3, h, w) in [0, 1], the best picture; its long side is settings.size.

    Raises:
        InputError: what is no image, or weights or a device that cannot be had.
    """
    transfer = StyleTransfer(photo, painting, settings)
    for _ in transfer:
        pass
    return transfer.image
