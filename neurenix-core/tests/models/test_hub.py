from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from neurenix.io import WeightsFileError, home_folder, load_safetensors, save_safetensors
from neurenix.models import PretrainedWeightsError, Weights
from neurenix.models.hub import find_or_download
from neurenix.models.pretrained import load_pretrained

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Stands for the module ``huggingface_hub``."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag: str | None = hashlib.sha256(content).hexdigest()
        self.size: int | None = len(content)
        self.downloads = 0
        self.fail: Callable[[Path], None] = lambda file: None

    def hf_hub_url(self, repo: str, filename: str) -> str:
        return f"hub://{repo}/{filename}"

    def get_hf_file_metadata(self, url: str) -> SimpleNamespace:
        assert url == "hub://someone/tiny/model.safetensors"
        return SimpleNamespace(etag=self.etag, size=self.size, commit_hash=COMMIT)

    def hf_hub_download(self, repo: str, filename: str, *, revision: str, local_dir: str) -> str:
        assert (repo, filename, revision) == ("someone/tiny", "model.safetensors", COMMIT)
        self.downloads += 1
        file = Path(local_dir) / filename
        file.write_bytes(self.content[: len(self.content) // 2])
        self.fail(file)
        file.write_bytes(self.content)
        return str(file)


@pytest.fixture
def content(tiny: Any, tmp_path: Path) -> bytes:
    save_safetensors(tmp_path / "content", tiny.state_dict())
    return (tmp_path / "content").read_bytes()


@pytest.fixture
def hub(content: bytes, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(content)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)  # type: ignore[arg-type]
    return fake


def nothing(path: Path) -> None:
    """Check nothing."""


def files_below(home: Path) -> list[str]:
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


def test_the_home_is_the_variables_or_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURENIX_HOME", "~/elsewhere")
    assert home_folder() == Path.home() / "elsewhere"
    monkeypatch.setenv("NEURENIX_HOME", "")
    assert home_folder() == Path.home() / ".cache" / "neurenix"


def test_a_download_is_kept_and_used_again(
    home: Path, hub: FakeHub, tiny: Any, tiny_weights: Weights, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        loaded = load_pretrained(tiny, tiny_weights, True, head="fc")
        assert loaded.path == home / "models" / "tiny.safetensors"
    assert hub.downloads == 1
    assert files_below(home) == ["models/tiny.safetensors"]
    assert (home / "models" / "tiny.safetensors").read_bytes() == hub.content
    error = capsys.readouterr().err
    assert error.count("Downloading someone/tiny/model.safetensors (0.0 MB) to ") == 1


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_put_into_the_home_needs_no_hub(
    home: Path, hub: FakeHub, tiny_weights: Weights, suffix: str
) -> None:
    (home / "models").mkdir(parents=True)
    path = home / "models" / f"tiny{suffix}"
    path.write_bytes(b"")
    assert find_or_download(tiny_weights, nothing) == path
    assert hub.downloads == 0


@pytest.mark.parametrize("error", [ConnectionError("line cut"), KeyboardInterrupt()])
def test_an_interrupted_download_leaves_nothing(
    home: Path, hub: FakeHub, tiny_weights: Weights, error: BaseException
) -> None:
    def fail(file: Path) -> None:
        assert file.stat().st_size == len(hub.content) // 2
        raise error

    hub.fail = fail
    expected = PretrainedWeightsError if isinstance(error, Exception) else KeyboardInterrupt
    with pytest.raises(expected):
        find_or_download(tiny_weights, nothing)
    assert list((home / "models").iterdir()) == []
    hub.fail = nothing
    assert find_or_download(tiny_weights, nothing).read_bytes() == hub.content


def test_a_wrong_hash_is_refused(home: Path, hub: FakeHub, tiny_weights: Weights) -> None:
    hub.etag = "0" * 64
    with pytest.raises(PretrainedWeightsError, match=r"has the SHA-256 \w+, the hub announced 000"):
        find_or_download(tiny_weights, nothing)
    assert files_below(home) == []


def test_a_wrong_size_is_refused(home: Path, hub: FakeHub, tiny_weights: Weights) -> None:
    hub.size = len(hub.content) + 1
    with pytest.raises(PretrainedWeightsError, match=r"has \d+ bytes, the hub announced \d+"):
        find_or_download(tiny_weights, nothing)
    assert files_below(home) == []


def test_content_that_is_no_weights_is_refused_even_with_a_right_hash(
    home: Path, hub: FakeHub, tiny: Any, tiny_weights: Weights
) -> None:
    hub.content = b"<html>Sign in</html>"
    hub.etag, hub.size = hashlib.sha256(hub.content).hexdigest(), len(hub.content)
    with pytest.raises(PretrainedWeightsError, match="it seems to be an HTML or XML page"):
        load_pretrained(tiny, tiny_weights, True, head="fc")
    assert files_below(home) == []


def test_weights_of_another_model_are_not_kept(
    home: Path, hub: FakeHub, tiny: Any, tiny_weights: Weights
) -> None:
    tiny.conv = None
    with pytest.raises(PretrainedWeightsError, match=r"cannot be used: .*unexpected: conv\.bias"):
        load_pretrained(tiny, tiny_weights, True, head="fc")
    assert files_below(home) == []


def test_another_number_of_classes_keeps_the_download(
    home: Path, hub: FakeHub, tiny: Any, tiny_weights: Weights
) -> None:
    model = type(tiny)(num_classes=8)
    with pytest.raises(WeightsFileError, match="'fc' has 3 classes"):
        load_pretrained(model, tiny_weights, True, head="fc")
    load_pretrained(model, tiny_weights, True, head="fc", load_head=False)
    assert hub.downloads == 1


@pytest.mark.parametrize("etag", [None, "a" * 40, 'W/"weak"'])
def test_without_a_sha256_it_says_what_is_checked(
    home: Path,
    hub: FakeHub,
    tiny_weights: Weights,
    etag: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.etag, hub.size = etag, None
    checked: list[bytes] = []
    find_or_download(tiny_weights, lambda path: checked.append(path.read_bytes()))
    assert checked == [hub.content]
    assert "gave no SHA-256" in capsys.readouterr().err


def test_the_error_says_where_it_looked_what_failed_and_what_to_do(
    home: Path, hub: FakeHub, tiny_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(url: str) -> Any:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(hub, "get_hf_file_metadata", offline)
    with pytest.raises(PretrainedWeightsError) as caught:
        find_or_download(tiny_weights, nothing)
    message = str(caught.value)
    assert f"{home / 'models' / 'tiny.safetensors'}: no such file" in message
    assert f"{home / 'models' / 'tiny.pth'}: no such file" in message
    assert "someone/tiny/model.safetensors: ConnectionError: no route to host" in message
    assert 'tiny(pretrained="path/to/tiny.safetensors")' in message
    assert f"or put it at {home / 'models' / 'tiny.safetensors'}" in message
    assert "tiny(pretrained=False)" in message
    assert not home.exists()


def test_without_huggingface_hub_it_names_the_install_line(
    home: Path, tiny_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PretrainedWeightsError, match=r"pip install huggingface_hub[\s\S]*path/to"):
        find_or_download(tiny_weights, nothing)


def test_a_home_that_cannot_be_written_is_named(
    tmp_path: Path, hub: FakeHub, tiny_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NEURENIX_HOME", str(tmp_path / "file"))
    with pytest.raises(PretrainedWeightsError, match=r"(NotADirectory|FileExists)Error"):
        find_or_download(tiny_weights, nothing)


class Handler(BaseHTTPRequestHandler):
    """Answers as the hub does for one large file."""

    protocol_version = "HTTP/1.1"
    content: bytes
    sha256: str
    requests: list[str]

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        self.requests.append(f"{self.command} {self.path}")
        known = self.path.startswith("/timm/resnet18.tv_in1k/resolve/")
        content = self.content if known and self.path.endswith("/model.safetensors") else b""
        self.send_response(200 if content else 404)
        self.send_header("ETag", f'"{self.sha256}"')
        self.send_header("X-Linked-Etag", f'"{self.sha256}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def server(assets: Path) -> Iterator[tuple[type[Handler], str]]:
    """A hub on this machine, which has one file."""
    content = (assets / "weights" / "resnet18.safetensors").read_bytes()

    class Served(Handler):
        pass

    Served.content, Served.requests = content, []
    Served.sha256 = hashlib.sha256(content).hexdigest()
    with ThreadingHTTPServer(("127.0.0.1", 0), Served) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield Served, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


BUILD = "import neurenix; print(neurenix.models.resnet18(pretrained=True).weights.path)"


def build_in_a_process(home: Path, endpoint: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {
        "NEURENIX_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BUILD],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_real_client_downloads_from_a_hub(
    home: Path, server: tuple[type[Handler], str]
) -> None:
    pytest.importorskip("huggingface_hub", reason="it downloads")
    served, endpoint = server
    path = home / "models" / "resnet18.safetensors"
    result = build_in_a_process(home, endpoint)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(path)
    assert "Downloading timm/resnet18.tv_in1k/model.safetensors (46.8 MB)" in result.stderr
    assert path.read_bytes() == served.content
    assert os.listdir(home / "models") == ["resnet18.safetensors"]
    assert len(load_safetensors(path)) == 122
    asked = len(served.requests)
    assert build_in_a_process(home, endpoint).returncode == 0
    assert len(served.requests) == asked, "the second call must not ask the hub"


def test_the_real_client_refuses_what_does_not_match_its_hash(
    home: Path, server: tuple[type[Handler], str]
) -> None:
    pytest.importorskip("huggingface_hub", reason="it downloads")
    served, endpoint = server
    served.sha256 = "f" * 64
    result = build_in_a_process(home, endpoint)
    assert result.returncode != 0
    assert "PretrainedWeightsError" in result.stderr
    assert os.listdir(home / "models") == []


def test_the_real_client_without_a_network_explains_itself(home: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="it downloads")
    result = build_in_a_process(home, "http://127.0.0.1:9")  # nobody listens there
    assert result.returncode != 0
    assert f"{home / 'models' / 'resnet18.safetensors'}: no such file" in result.stderr
    assert "timm/resnet18.tv_in1k/model.safetensors: " in result.stderr
    assert 'resnet18(pretrained="path/to/resnet18.safetensors")' in result.stderr
