"""Files of weights: whole ones load, others are refused, none is left half written."""

import hashlib
import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

import pytest
import torch
import torchvision
from conftest import full_disk, without_rights
from safetensors.torch import load_file, save_file
from test_vgg import torchvision_features, whole_state

from nst_helpers import VGG19, InputError, pretrained
from nst_helpers.pretrained import BUNDLED, PLACES, read_parameters

PAGE = b"<!DOCTYPE html><title>Please sign in</title>"
LITTLE = {  # one layer: enough to be fetched, trimmed and kept
    "features.0.weight": torch.rand(64, 3, 3, 3),
    "features.0.bias": torch.rand(64),
}
# Fetches in another process from another address than torchvision's.
FETCH = """
import sys
from nst_helpers import VGG19, pretrained
pretrained.URL = sys.argv[1]
try:
    VGG19("imagenet")
except ValueError as error:
    assert "features.2.weight should have shape" in str(error)
"""


def said(refused):
    """Return the one line that an error says."""
    assert "\n" not in str(refused.value)
    return str(refused.value)


def read_little(weights="imagenet"):
    """Read whole weights of one layer: what is missed is the second layer."""
    with pytest.raises(InputError, match="features.2.weight should have shape"):
        read_parameters(weights)


class Evil:
    """Leave a mark when a pickle of it is read carelessly."""

    def __reduce__(self):
        return os.mkdir, ("evil-ran",)


def archive(value):
    """Save as torch.save does."""
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\0", PAGE, b"\0" * 10_000, BUNDLED.read_bytes()[:100_000]],
    ids=["empty", "one byte", "web page", "zeros", "cut off"],
)
def test_no_weights_are_refused_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name) as refused:
        VGG19(tmp_path / name)
    assert "get it again" in said(refused)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize(
    ("write", "read_carelessly"),
    [
        (lambda x: pickle.dumps(x, protocol=2), pickle.loads),
        (archive, lambda x: torch.load(io.BytesIO(x), weights_only=False)),
    ],
    ids=["pickle", "torch.save"],
)
def test_a_pickle_with_code_is_not_run(
    tmp_path, monkeypatch, name, write, read_carelessly
):
    monkeypatch.chdir(tmp_path)
    content = write({"features.0.weight": Evil()})
    Path(name).write_bytes(content)
    with pytest.raises(InputError, match=name) as refused:
        VGG19(name)
    said(refused)
    assert os.listdir() == [name]
    read_carelessly(content)
    assert sorted(os.listdir()) == ["evil-ran", name]


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_weights_cut_off_anywhere_are_refused(tmp_path, ending):
    path = tmp_path / f"w{ending}"
    write = torch.save if ending == ".pth" else save_file
    write(LITTLE, path)
    read_little(path)
    size = path.stat().st_size
    for left in [size - 1, *(size * k // 20 for k in range(19, -1, -1))]:
        os.truncate(path, left)
        with pytest.raises(InputError, match="cut off") as refused:
            read_parameters(path)
        said(refused)


@pytest.mark.parametrize(
    "changes",
    [
        {"features.5.weight": torch.zeros(128, 64, 5, 5)},
        {"features.5.bias": torch.zeros(1)},
        {"features.16.weight": None},
        {"features.0.weight": torch.full((64, 3, 3, 3), float("nan"))},
        {"features.0.bias": "no tensor"},
    ],
    ids=["other shape", "other bias", "missing", "not finite", "no tensor"],
)
def test_weights_of_another_network_are_refused_whatever_their_checksum(
    tmp_path, state, changes
):
    # Of a number repeated, a file holds but one: the right shapes, in little room.
    thin = {name: torch.zeros(()).expand(t.shape) for name, t in state.items()}
    path = tmp_path / "w.pth"
    torch.save(thin, path)
    VGG19(path)
    torch.save({k: v for k, v in (thin | changes).items() if v is not None}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "w.pth.sha256").write_text(digest)
    with pytest.raises(InputError, match="w.pth: .*(VGG19|infinite)") as refused:
        VGG19(path)
    said(refused)


def test_what_is_no_file_of_weights(tmp_path):
    for name in (tmp_path / "missing.pth", tmp_path, "", "nul\0", "n" * 300):
        with pytest.raises(InputError, match="no such weights file") as refused:
            VGG19(name)
        said(refused)
    (tmp_path / "list.pth").touch()
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(InputError, match="not the weights of a VGG19"):
        VGG19(tmp_path / "list.pth")


def test_a_wrong_checksum_beside_the_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    shutil.copy(BUNDLED, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    beside = tmp_path / "w.safetensors.sha256"
    for text in (digest, f"{digest.upper()}  w.safetensors\n"):  # as sha256sum does
        beside.write_text(text)
        VGG19(path)
    for wrong in (digest[::-1], "", "no checksum"):
        beside.write_text(wrong)
        with pytest.raises(InputError, match="SHA-256") as refused:
            VGG19(path)
        said(refused)


class Site(ThreadingHTTPServer):
    """Serve one file from this machine, as well or badly as it is told to.

    Attributes:
        content: of the file.
        sent: bytes that are sent before the line is cut.
        wait: called before the second half is sent.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    def offer(self, content, sent=None, wait=lambda: None):
        """Put a file under the address that its checksum gives it."""
        self.content, self.wait = content, wait
        self.sent = len(content) if sent is None else sent
        digest = hashlib.sha256(content).hexdigest()
        pretrained.URL = f"http://127.0.0.1:{self.server_port}/vgg19-{digest[:8]}.pth"
        return pretrained.URL


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        site = self.server
        self.send_response(200)
        self.send_header("Content-Length", str(len(site.content)))
        self.end_headers()
        half = site.sent // 2
        with suppress(ConnectionError):  # who asked may be killed, or have no room
            self.wfile.write(site.content[:half])
            site.wait()
            self.wfile.write(site.content[half : site.sent])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def state():
    return whole_state()


@pytest.fixture(scope="module")
def content(state):
    """Save weights with a classifier, as torchvision does."""
    return archive(state | {"classifier.0.weight": torch.zeros(1000)})


@pytest.fixture(scope="module")
def little():
    return archive(LITTLE)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Give torchvision an empty cache folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("NST_WEIGHTS", raising=False)
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def site(cache):
    url = pretrained.URL
    with Site() as site:
        yield site
        site.shutdown()
    pretrained.URL = url


def kept(cache):
    """Check that what bears a name of weights is whole, and list it."""
    for path in cache.glob("*.pth"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.stem == f"vgg19-{digest[:8]}"
    for path in cache.glob("*.safetensors"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.with_name(path.name + ".sha256").read_text() == digest
    return sorted(path.suffix for path in cache.glob("*"))


WHOLE = [".pth", ".safetensors", ".sha256"]


def test_the_address_is_torchvisions():
    assert torchvision.models.VGG19_Weights.IMAGENET1K_V1.url == pretrained.URL


def test_imagenet_is_fetched_once_and_trimmed(cache, site, state, content):
    image = torch.rand(1, 3, 35, 50, generator=torch.Generator().manual_seed(0))
    site.offer(content)
    features = VGG19("imagenet")(image, ["conv2_1"])["conv2_1"]
    expected = torchvision_features(state, image, "avg")["conv2_1"]
    torch.testing.assert_close(features, expected, rtol=0.01, atol=0.01)
    assert kept(cache) == WHOLE

    site.offer(b"")  # neither the site nor the large file is needed any more
    next(cache.glob("*.pth")).unlink()
    assert torch.equal(VGG19("imagenet")(image, ["conv2_1"])["conv2_1"], features)
    trimmed = load_file(next(cache.glob("*.safetensors")))
    assert trimmed.keys() == state.keys()
    assert {t.dtype for t in trimmed.values()} == {torch.float16}


@pytest.mark.parametrize("tenths", [0, 1, 5, 9])
def test_a_download_cut_off_leaves_nothing_and_the_next_recovers(
    cache, site, little, tenths
):
    site.offer(little, sent=len(little) * tenths // 10)
    with pytest.raises(InputError, match="NST_WEIGHTS") as refused:
        read_parameters("imagenet")
    said(refused)
    assert kept(cache) == []
    site.offer(little)
    read_little()
    assert kept(cache) == WHOLE


@pytest.mark.parametrize("kind", ["web page", "one bit", "another file"])
def test_a_download_of_a_wrong_checksum_leaves_nothing(cache, site, little, kind):
    flipped = little[:500] + bytes([little[500] ^ 1]) + little[501:]
    wrong = {"web page": PAGE, "one bit": flipped, "another file": little[::-1]}[kind]
    site.offer(little)
    site.content, site.sent = wrong, len(wrong)
    with pytest.raises(InputError, match="invalid hash value") as refused:
        read_parameters("imagenet")
    said(refused)
    assert kept(cache) == []
    site.offer(little)
    read_little()
    assert kept(cache) == WHOLE


@pytest.mark.parametrize("damaged", [b"", PAGE, None], ids=["empty", "page", "cut"])
@pytest.mark.parametrize("ending", [".pth", ".safetensors", ".sha256"])
def test_a_damaged_cache_is_made_anew(cache, site, little, ending, damaged):
    site.offer(little)
    read_little()
    path = next(cache.glob(f"*{ending}"))
    before = path.read_bytes()
    path.write_bytes(before[1:] if damaged is None else damaged)
    if ending == ".pth":  # or it would not be looked at
        next(cache.glob("*.safetensors")).unlink()
    read_little()
    assert kept(cache) == WHOLE
    assert path.read_bytes() == before


def test_no_network_says_where_to_put_the_file(cache, site):
    name = Path(site.offer(b"gone")).name
    site.shutdown()
    site.socket.close()
    cache.mkdir(parents=True)
    (cache / name).write_bytes(PAGE)
    with pytest.raises(InputError) as refused:
        VGG19("imagenet")
    for part in (str(cache), name, "refused", "NST_WEIGHTS", "bundled"):
        assert part in said(refused)


def test_a_file_brought_by_hand_needs_no_network(cache, site, little):
    cache.mkdir(parents=True)
    name = Path(site.offer(little)).name
    site.offer(b"")
    (cache / name).write_bytes(little)
    pretrained.URL = f"http://127.0.0.1:{site.server_port}/{name}"
    read_little()
    assert kept(cache) == WHOLE


def test_a_cache_that_may_only_be_read_serves_and_a_missing_one_is_told(
    cache, site, little, tmp_path
):
    name = Path(site.offer(little)).name
    cache.mkdir(parents=True)
    cache.chmod(0o555)
    with without_rights(tmp_path):
        with pytest.raises(InputError, match="Permission denied") as refused:
            read_parameters("imagenet")
        assert "NST_WEIGHTS" in said(refused)
    cache.chmod(0o755)
    (cache / name).write_bytes(little)
    cache.chmod(0o555)
    with without_rights(tmp_path):
        read_little()
    assert os.listdir(cache) == [name]
    cache.chmod(0o755)


@pytest.mark.parametrize("name", ["mine.pth", "mine.safetensors", "vgg19-0123abcd.pth"])
def test_a_file_that_may_not_be_read_is_no_broken_one(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"weights")
    path.chmod(0)
    with without_rights(tmp_path), pytest.raises(InputError, match="cannot be read"):
        read_parameters(path)


# With capsys, a download tells its progress to no file, which would be full as well.
@pytest.mark.usefixtures("capsys")
@pytest.mark.parametrize("room", [0, 1_000_000, 60_000_000])
def test_a_full_disk_leaves_nothing_half_written(cache, site, content, room):
    site.offer(content)
    with full_disk(room), pytest.raises(InputError, match="File too large") as refused:
        read_parameters("imagenet")
    said(refused)
    assert kept(cache) == []
    assert len(read_parameters("imagenet")) == 16
    assert kept(cache) == WHOLE


@pytest.mark.usefixtures("capsys")
def test_a_disk_too_full_for_a_trimmed_copy_does_not_end_the_run(cache, site, content):
    name = Path(site.offer(content)).name
    cache.mkdir(parents=True)
    (cache / name).write_bytes(content)
    with full_disk(1_000_000):
        assert len(read_parameters("imagenet")) == 16
    assert kept(cache) == [".pth", ".sha256"]
    read_parameters("imagenet")
    assert kept(cache) == WHOLE


def fetch(url):
    """Fetch the weights in another process."""
    command = [sys.executable, "-c", FETCH, url]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


@pytest.mark.long
def test_two_processes_fetch_at_once(cache, site, little):
    both = threading.Barrier(2, timeout=60)  # each waits in mid-file for the other
    other = fetch(site.offer(little, wait=both.wait))
    read_little()
    assert other.wait(60) == 0 and kept(cache) == WHOLE


@pytest.mark.long
def test_a_process_killed_in_mid_download_leaves_no_weights(cache, site, little):
    begun, over = threading.Event(), threading.Event()

    def wait():
        begun.set()
        over.wait(60)

    run = fetch(site.offer(little, wait=wait))
    assert begun.wait(60)
    limit = time.monotonic() + 60
    while not list(cache.glob("*")) and time.monotonic() < limit:
        time.sleep(0.01)
    run.kill()
    assert run.wait(60) == -signal.SIGKILL
    over.set()
    assert not set(kept(cache)) & set(WHOLE)
    site.offer(little)
    read_little()
    assert set(WHOLE) <= set(kept(cache))


def test_nst_weights_names_a_file_that_is_not_there(cache, monkeypatch):
    monkeypatch.setenv("NST_WEIGHTS", "gone.pth")
    with pytest.raises(InputError, match="NST_WEIGHTS=gone.pth"):
        VGG19("imagenet")


def test_nst_weights_takes_torchvisions_file_from_a_usb_stick(
    cache, monkeypatch, tmp_path, state, content
):
    digest = hashlib.sha256(content).hexdigest()
    path = tmp_path / f"vgg19-{digest[:8]}.pth"
    path.write_bytes(content)
    monkeypatch.setenv("NST_WEIGHTS", str(path))
    assert torch.equal(
        VGG19("imagenet").convs["conv3_1"].weight, state["features.10.weight"]
    )
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match="SHA-256"):
        VGG19("imagenet")
    assert not cache.exists()


def test_weights_of_caffes_kind_are_told_by_their_numbers_and_refused(tmp_path):
    def name(layer, part):
        return f"{PLACES[layer]}.{part}"

    shapes = {
        name(layer, part): x.shape
        for layer, parts in read_parameters("bundled").items()
        for part, x in parts.items()
    }

    def read(file, changes, kind=torch.float32):
        # What is not looked at are zeros, which take no room.
        zero = torch.zeros((), dtype=kind)
        state = {key: zero.expand(shape) for key, shape in shapes.items()}
        torch.save(state | {k: x.to(kind) for k, x in changes.items()}, tmp_path / file)
        return read_parameters(tmp_path / file)

    def first_two(weights, seed=0):
        parameters = read_parameters(weights, seed)
        layers = product(("conv1_1", "conv1_2"), ("weight", "bias"))
        return {name(k, part): parameters[k][part].float() for k, part in layers}

    ours, first = first_two("bundled"), "features.0.weight"
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    caffe = ours | {first: (ours[first] / (255 * std)).flip(1).contiguous()}
    # The same network, all numbers fifty times larger; and one of hardly any bias.
    larger = {k: x if k == "features.2.weight" else 57 * x for k, x in caffe.items()}
    unbiased = {k: x / 100 if "bias" in k else x for k, x in larger.items()}
    for kind in (torch.float32, torch.float16, torch.bfloat16):
        for changes in (caffe, larger, unbiased):
            with pytest.raises(InputError, match="of Caffe's kind") as refused:
                read("vgg19.pth", changes, kind)
            assert "imagenet" in said(refused)
        read("caffe.pth", ours, kind)  # a name tells nothing
    read("others.pth", ours | {first: ours[first].flip(0, 2, 3) * 3})
    read("no bias.pth", {first: ours[first]})
    for seed in range(3):
        read("random.pth", first_two("random", seed))


def test_what_torchvision_serves_is_not_suspected(site, state):
    first = "features.0.weight"
    caffes = state | {first: (state[first].float() / 58).flip(1).contiguous()}
    site.offer(archive(caffes))
    kept = read_parameters("imagenet")["conv1_1"]["weight"]
    assert (kept.float() - caffes[first]).abs().max() < 1e-3


@pytest.mark.long
def test_numbers_that_are_no_floats_are_refused(tmp_path):
    first = "features.0.weight"
    for change in (
        lambda x: x.to(torch.float8_e4m3fn),
        lambda x: x.to(torch.int8),
        lambda x: x.to(torch.complex64),
        lambda x: x.float().to_sparse(),
        lambda x: x.double() * 1e300,
    ):
        state = whole_state()
        torch.save(state | {first: change(state[first])}, tmp_path / "odd.pth")
        with pytest.raises(InputError, match=first) as refused:
            read_parameters(tmp_path / "odd.pth")
        said(refused)


def test_a_file_is_known_by_its_content_and_a_checksum_by_its_digits(tmp_path):
    path, beside = tmp_path / "w.pth", tmp_path / "w.pth.sha256"
    path.write_bytes(BUNDLED.read_bytes())  # safetensors, by another name
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for text in (f"SHA256 (w.pth) = {digest}", f"\ufeff{digest}  w.pth"):
        beside.write_text(text, encoding="utf-8")
        assert read_parameters(path)["conv1_1"]["bias"].shape == (64,)
    beside.write_text("")
    with pytest.raises(InputError, match="w.pth.sha256: no SHA-256"):
        read_parameters(path)
