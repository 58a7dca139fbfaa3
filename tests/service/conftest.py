"""A small exported bundle, and a server that answers with it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from patclass.bundle import read_bundle
from patclass.data.corpus import load_corpus
from patclass.export.run import export
from service_process import Server, serving


@pytest.fixture(scope="session")
def exported(tree_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle of sections, classes and subclasses for OpenVINO, in float32."""
    opened = read_bundle(tree_bundle)
    corpus = load_corpus(opened.description.data_settings(), opened.tree)
    target = tmp_path_factory.mktemp("exported") / "model"
    export(opened, "openvino-f32", target, corpus, texts=60)
    return target


@pytest.fixture(scope="session")
def server(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do not change it."""
    with serving(tmp_path_factory.mktemp("server"), "--model", exported) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A client of the server."""
    with server.client() as client:
        yield client
