"""Features on disk: reused, keyed by all they depend on, and safe against what goes wrong."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.autograd import no_grad
from neurenix.data import Dataset, ImageFolder
from neurenix.data import photos as photo_reader
from neurenix.data.transforms import Compose, Normalize, Resize, ToTensor
from neurenix.transfer import TransferModel
from neurenix_transfer.cache import disk
from neurenix_transfer.cache.shard import SUFFIX


def shards(home):
    return sorted((home / "features").rglob(f"*{SUFFIX}"))


def test_a_later_call_computes_nothing(make, train, computed, home):
    first = train(make.convolutional(), cache="disk")
    assert computed.samples == 23 + 9
    second = train(make.convolutional(), cache="disk")
    assert computed.samples == 23 + 9
    first.assert_same(second)
    first.assert_same(train(make.convolutional(), cache="off"))


def test_auto_reads_what_is_on_disk_already(make, train, computed, home):
    train(make.convolutional(), cache="disk")
    before = computed.samples
    train(make.convolutional(), cache="auto")
    assert computed.samples == before


def test_other_weights_buffers_and_layers_are_other_features(make, train, computed, home):
    train(make.convolutional(), cache="disk", epochs=1)

    def change(model):
        with no_grad():
            model.get_base_model().stem[1].running_mean.fill_(0.5)  # a buffer

    for alter in (
        change,
        lambda model: model.get_base_model().stem[0].weight.detach().fill_(0.1),
        lambda model: setattr(model.get_base_model().stem, "2", nn.Tanh()),  # the same weights
        lambda model: model.unfreeze_layers(["layer2"]),
    ):
        before = computed.samples
        model = make.convolutional()
        alter(model)
        train(model, cache="disk", epochs=1)
        assert computed.samples == before + 23 + 9


def test_another_dtype_is_other_features(make, train, computed, home):
    train(make.convolutional(), cache="disk", epochs=1)
    train(make.convolutional().to(neurenix.float64), cache="disk", epochs=1)
    assert computed.samples == 2 * (23 + 9)


def test_one_changed_sample_is_computed_again_alone(make, train, computed, home):
    x, y = make.images(23)
    train(make.convolutional(), (x, y), cache="disk", epochs=1)
    before = computed.samples
    x = x.copy()
    x[7, 0, 0, 0] += 1
    changed = train(make.convolutional(), (x, y), cache="disk", epochs=1)
    assert computed.samples == before + 1
    changed.assert_same(train(make.convolutional(), (x, y), cache="off", epochs=1))


def test_another_transform_is_other_features(make, train, computed, home):
    x, y = make.images(8)
    for mean, expected in ((0.0, 8 + 9), (0.0, 8 + 9), (0.5, 2 * 8 + 9)):
        transform = Normalize((mean,) * 3, (1.0,) * 3)
        data = Dataset(list(map(neurenix.Tensor, x)), list(map(int, y)), transform)
        train(make.convolutional(), data, make.images(9), "disk", epochs=1)
        assert computed.samples == expected


@pytest.fixture
def photos(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 4)):
        for name in ("ants", "bees"):
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 255, (12, 14, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "photos"


def folders(photos):
    steps = Compose([Resize((8, 8)), ToTensor()])
    return [ImageFolder(photos / part, steps) for part in ("train", "val")]


def test_a_second_run_on_photos_decodes_but_the_first_two(
    make, train, computed, home, photos, monkeypatch
):
    decoded = []
    read = photo_reader.read_photo
    monkeypatch.setattr(
        "neurenix.data.image_folder.read_photo", lambda path: decoded.append(path) or read(path)
    )
    first = train(make.convolutional(), *folders(photos), "disk", epochs=3)
    assert len({*decoded}) == 20
    before = computed.samples
    decoded.clear()
    second = train(make.convolutional(), *folders(photos), "disk", epochs=3)
    assert computed.samples == before
    assert len({*decoded}) == 4  # the first two of train and of val, to try the model with
    first.assert_same(second)


def test_a_photo_that_broke_since_is_noticed(make, train, home, photos):
    train(make.convolutional(), *folders(photos), "disk", epochs=1)
    (photos / "train" / "bees" / "5.png").write_bytes(b"no picture")
    with pytest.raises(photo_reader.PhotoError, match=r"5\.png"):
        train(make.convolutional(), *folders(photos), "disk", epochs=1)


SCRIPT = textwrap.dedent(
    """
    import json, sys
    import numpy as np
    import neurenix
    from neurenix import nn
    from neurenix.optim import Adam
    from neurenix.transfer import TransferModel, fine_tune
    from neurenix_transfer.cache.frozen import FrozenSide

    count = [0]
    run = FrozenSide.run
    def counting(self, samples):
        count[0] += len(samples)
        return run(self, samples)
    FrozenSide.run = counting
    FrozenSide.verify = lambda self, *samples: None
    neurenix.manual_seed(0)
    base = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3))
    model = TransferModel(base, nn.Linear(16, 2))
    x = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    optimizer = Adam(model.parameters(), lr=0.01)
    options = {"epochs": 3, "verbose": 0, "cache": sys.argv[1], "batch_size": 7}
    history = fine_tune(model, optimizer, x, np.arange(60) % 2, **options)
    print(json.dumps([count[0], history["train_loss"]]))
    """
)


def process(cache):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, cache], stdout=subprocess.PIPE, text=True, env=os.environ
    )


def result(running):
    out, _ = running.communicate(timeout=120)
    assert running.returncode == 0
    return json.loads(out)


def test_two_processes_at_once_and_a_later_one(home):
    both = [process("disk"), process("disk")]
    results = [result(running) for running in both]
    computed, losses = result(process("disk"))
    assert computed == 0
    assert results[0][1] == results[1][1] == losses == result(process("off"))[1]


@pytest.mark.parametrize("cut", [3, 15, 200, -1])
def test_a_truncated_file_is_removed_and_computed_again(make, train, computed, home, capsys, cut):
    first = train(make.convolutional(), cache="disk")
    for path in shards(home):
        os.truncate(path, cut if cut > 0 else path.stat().st_size - 1)
    second = train(make.convolutional(), cache="disk", verbose=1)
    assert computed.samples == 2 * (23 + 9)
    first.assert_same(second)
    assert "it is removed" in capsys.readouterr().out


def test_damaged_values_are_noticed_by_their_checksum(make, train, computed, home, capsys):
    first = train(make.convolutional(), cache="disk")
    for path in shards(home):
        content = bytearray(path.read_bytes())
        content[-64] ^= 1
        path.write_bytes(content)
    second = train(make.convolutional(), cache="disk", verbose=1)
    assert 23 + 9 < computed.samples < 2 * (23 + 9)
    first.assert_same(second)
    assert "checksum of a sample is wrong" in capsys.readouterr().out


def test_a_half_written_file_of_a_killed_process_is_never_read(make, train, computed, home):
    train(make.convolutional(), cache="disk")
    folder = shards(home)[0].parent
    stale, fresh = folder / ".neurenix-0.tmp", folder / ".neurenix-1.tmp"
    for path in (stale, fresh):
        path.write_bytes(b"half a shard")
    os.utime(stale, (0, 0))
    before = computed.samples
    train(make.convolutional(), cache="disk")
    assert computed.samples == before
    assert not stale.exists()
    assert fresh.exists()  # it may belong to a process that is still writing


def test_a_full_disk_is_said_and_training_goes_on(make, train, home, capsys, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk, "write_shard", full)
    run = train(make.convolutional(), cache="disk", verbose=1)
    out = capsys.readouterr().out
    assert out.count("cannot be written (No space left on device); going on without it") == 1
    run.assert_same(train(make.convolutional(), cache="off"))


def test_a_folder_that_cannot_be_written_is_said(make, train, tmp_path, capsys, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("NEURENIX_HOME", str(blocked))
    run = train(make.convolutional(), cache="disk", verbose=1)
    assert capsys.readouterr().out.count("going on without it") == 1
    run.assert_same(train(make.convolutional(), cache="off"))


def test_the_oldest_features_are_evicted_at_the_limit(make, train, computed, home, monkeypatch):
    small = train(make.linear(), make.rows(31), make.rows(10), "disk", epochs=1)
    assert small.history.epochs == 1
    (oldest,) = {path.parent for path in shards(home)}
    for path in shards(home):
        os.utime(path, (1, 1))
    size = sum(path.stat().st_size for path in shards(home))
    monkeypatch.setenv("NEURENIX_CACHE_BYTES", str(size + 2000))
    train(make.convolutional(), cache="disk", epochs=1)
    assert not list(oldest.glob(f"*{SUFFIX}"))
    assert sum(path.stat().st_size for path in shards(home)) > 0


def test_a_limit_that_is_too_small_is_said(make, train, home, capsys):
    run = train(make.convolutional(), cache="disk", cache_bytes=100, verbose=1)
    assert "the limit of 100 bytes on disk is reached" in capsys.readouterr().out
    assert shards(home) == []
    run.assert_same(train(make.convolutional(), cache="off"))


def test_auto_spills_to_the_disk_beyond_its_budget(make, train, computed, home):
    run = train(make.convolutional(), cache="auto", cache_bytes=200)
    assert computed.samples == 23 + 9
    assert shards(home)
    run.assert_same(train(make.convolutional(), cache="off"))


def test_memory_says_when_its_budget_is_used_up(make, train, computed, home, capsys):
    run = train(make.convolutional(), cache="memory", cache_bytes=10 * 24, verbose=1, epochs=3)
    assert capsys.readouterr().out.count("is used up") == 1
    assert computed.samples == 3 * (23 + 9) - 2 * 10
    assert shards(home) == []
    run.assert_same(train(make.convolutional(), cache="off"))


def test_bfloat16_features_come_back_as_they_were(make, train, home):
    model = TransferModel(nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 3)), nn.Linear(8, 2))
    model.to(neurenix.bfloat16)
    twin = model.clone()
    first = train(model, make.rows(12), make.rows(4), "disk", epochs=1)
    second = train(twin, make.rows(12), make.rows(4), "disk", epochs=1)
    first.assert_same(second)
