"""Short programs with one mistake each, made from a seed: to be run and diagnosed."""

import random
from pathlib import Path
from typing import NamedTuple

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from ..pixels import to_array

IMAGES = Path(__file__).parent.parent.parent / "images"
PAIRS = (  # photo and painting
    ("cat", "hokusai_great_wave"),
    ("colosseum", "van_gogh_village_street_in_auvers"),
    ("grace_hopper", "kandinsky_composition_viii"),
)
RIGHT = """\
import cv2
import torch

from nst_helpers import VGG19
from nst_helpers.lessons.broken import IMAGES
from nst_helpers.pixels import resize

STYLE = {"conv1_1": 256, "conv2_1": 64, "conv3_1": 16, "conv4_1": 4, "conv5_1": 1}


def read(name, size):
    bgr = cv2.imread(str(IMAGES / name))
    rgb = torch.from_numpy(bgr[..., ::-1].copy())
    return resize(rgb.permute(2, 0, 1)[None] / 255, size)


def gram(features):
    rows = features[0].flatten(1)
    return rows @ rows.T / rows.shape[1]


def error(x, target):
    return ((x - target) ** 2).sum() / (target**2).sum()


vgg = VGG19()
photo = read("content/PHOTO.jpg", 96)
painting = read("style/PAINTING.jpg", 160)
aim = vgg(photo, ["conv4_2"])["conv4_2"]
grams = {name: gram(f) for name, f in vgg(painting, STYLE).items()}

torch.manual_seed(SEED)
pixels = (photo + 0.5 * torch.randn(photo.shape)).requires_grad_()
options = {"max_iter": EVALUATIONS, "max_eval": EVALUATIONS, "tolerance_change": 0}
optimizer = torch.optim.LBFGS([pixels], line_search_fn="strong_wolfe", **options)
losses = []


def closure():
    optimizer.zero_grad()
    features = vgg(pixels, ["conv4_2", *STYLE])
    loss = error(features["conv4_2"], aim)
    for name, weight in STYLE.items():
        loss = loss + 0.3 * weight * error(gram(features[name]), grams[name])
    loss.backward()
    losses.append(loss.item())
    return loss


optimizer.step(closure)
picture = pixels.detach().nan_to_num().clamp(0, 1)
"""


class Mistake(NamedTuple):
    """Hold what a mistake changes in the program, and what can be seen of it."""

    right: str
    wrong: str
    seen: str


MISTAKES = {
    "missing zero_grad": Mistake(
        "    optimizer.zero_grad()\n",
        "",
        "gradients would pile up: the curve would leap up a thousandfold, and then "
        "stand still far above the right one",
    ),
    "detached features": Mistake(
        "gram(features[name])",
        "gram(features[name].detach())",
        "nothing would pull at the style: photo and noise would stay, without a trace "
        "of the painting, and the curve would hardly fall",
    ),
    "wrong divisor": Mistake(
        "rows @ rows.T / rows.shape[1]",
        "rows @ rows.T",
        "the painting, which is larger, would count for too much: the curve would "
        "begin lower and end near the right one, all colours and contrasts too strong",
    ),
    "BGR": Mistake(
        "bgr[..., ::-1].copy()",
        "bgr",
        "the curve would be a right one, and blue and red exchanged on the screen",
    ),
    "clamp": Mistake(
        "features = vgg(pixels, ",
        "features = vgg(pixels.clamp(0, 1), ",
        "pixels that the noise has pushed outside [0, 1] would have no slope: they "
        "would stay, as dots over a painted picture, and the curve would begin lower "
        "than the right one and stop far above it",
    ),
    "raw sums": Mistake(
        " / (target**2).sum()",
        "",
        "the curve would begin at millions, and one loss would drown the other",
    ),
}


def write_program(seed: int, mistake: str | None = None, evaluations: int = 50) -> str:
    """Write a style-transfer program, which starts from the photo under noise.

    Args:
        seed: 0 or more; chooses the two pictures and the noise.
        mistake: one of MISTAKES; "by seed", for one that name_the_bug tells; or None,
            for the program that is right.
        evaluations: how often it may ask for the loss, 1 or more.

    Returns:
        Python; run, it leaves `picture`, (1, 3, H, W) in [0, 1], and `losses`, a list.
    """
    photo, painting = PAIRS[seed % len(PAIRS)]
    program = RIGHT
    if mistake == "by seed":
        mistake = name_the_bug(seed)
    if mistake:
        program = program.replace(MISTAKES[mistake].right, MISTAKES[mistake].wrong)
    program = program.replace("PHOTO", photo).replace("PAINTING", painting)
    return program.replace("SEED", str(seed)).replace("EVALUATIONS", str(evaluations))


def name_the_bug(seed: int) -> str:
    """Tell a teacher which mistake the broken program of a seed has.

    Args:
        seed: 0 or more; six in a row, from a multiple of six on, have all mistakes.

    Returns:
        One of MISTAKES.
    """
    block, place = divmod(seed, len(MISTAKES))
    return random.Random(block).sample(list(MISTAKES), len(MISTAKES))[place]


def run_program(
    seed: int, mistake: str | None = None, evaluations: int = 50
) -> tuple[Tensor, list[float]]:
    """Run the program that write_program writes, and no other.

    Args:
        seed: as in write_program.
        mistake: likewise.
        evaluations: likewise.

    Returns:
        The picture, (1, 3, H, W) in [0, 1], and the loss at each evaluation.
    """
    names: dict = {}
    exec(write_program(seed, mistake, evaluations), names)
    return names["picture"], names["losses"]


def show_runs(runs: dict[str, tuple[Tensor, list[float]]]) -> Figure:
    """Show what two programs have painted, and their curves.

    Args:
        runs: {name: what run_program returns}, of two programs.

    Returns:
        The figure.
    """
    fig, panels = plt.subplots(1, 3, figsize=(8.8, 2.8), layout="constrained")
    for axis, (name, (picture, losses)), dashes in zip(
        panels, runs.items(), ("-", "--"), strict=False
    ):
        axis.imshow(to_array(picture))
        axis.set(title=f"{name}: {losses[0]:,.4g} to {losses[-1]:,.4g}")
        axis.axis("off")
        panels[-1].plot(range(1, len(losses) + 1), losses, dashes, label=name)
    panels[-1].set(yscale="log", xlabel="evaluations", title="loss (log scale)")
    panels[-1].legend()
    return fig
