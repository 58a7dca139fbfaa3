"""The requests of the README succeed."""

import re
import shlex

import click
import httpx
import pytest

from conftest import ROOT
from patclass.cli.main import main

LINES = [
    line
    for block in re.findall(
        r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    for line in block.splitlines()
]


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("curl ")])
def test_requests_of_the_readme_succeed(http: httpx.Client, line: str):
    words = shlex.split(line)
    values = {
        flag: [words[at + 1] for at, word in enumerate(words) if word == flag]
        for flag in ("-H", "-d")
    }
    headers = dict(value.split(": ", 1) for value in values["-H"])
    path = words[1].removeprefix("http://127.0.0.1:9000")
    response = http.post(path, content=values["-d"][0], headers=headers)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "line", [line for line in LINES if line.startswith(("patclass serve", "patclass export"))]
)
def test_the_flags_of_the_readme_are_known(line: str):
    name, *flags = shlex.split(line)[1:]
    command = main.commands[name]
    assert isinstance(command.make_context(name, flags), click.Context)
