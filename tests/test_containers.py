"""The container image: its files, and the environment that they create."""

import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from helpers import full
from patclass.cli.main import main
from patclass.offices.settings import PREFIX as OFFICES
from patclass.offices.settings import OfficesSettings
from patclass.service.keys import DEFAULT_FILE
from patclass.service.keys import VARIABLE as KEYS
from patclass.service.settings import PORT, ServiceSettings
from patclass.store.database import VARIABLE as DATABASE
from serve_env import (
    ROOT,
    Stage,
    commands,
    copies,
    image_python,
    mounts,
    options,
    serve_python,
    stages,
)

__all__ = ["image_python", "serve_python"]  # fixtures

EXPORT, SERVE = stages()["export"], stages()["serve"]
HEAVY = {"torch", "transformers", "ray", "pandas", "scipy", "sklearn", "pyarrow"}

# Limits rather than targets: measured on two cores, each is about half of this.
MAX_IMPORT_SECONDS = 1.0
MAX_MEGABYTES = 150
RUNS = full(1, 3)

# The import of the service without models: seconds, peak megabytes, modules. The
# memory is read where it starts with the program; getrusage includes the parent process.
IMPORT = """
import time
start = time.process_time()  # other processes may keep the cores busy
from patclass.service.app import create_app
seconds = time.process_time() - start
import re, sys
status = open("/proc/self/status").read()
print(seconds, int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024)
print(*{name.partition(".")[0] for name, module in sys.modules.items() if module is not None})
"""


def ignored(path: str) -> bool:
    """Whether .dockerignore excludes a path from the build; the last matching line decides."""
    parents = [path, *(str(parent) for parent in Path(path).parents)]
    is_ignored = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!"))
            pattern = pattern.replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            if any(re.fullmatch(pattern, parent) for parent in parents):
                is_ignored = not line.startswith("!")
    return is_ignored


def environment(stage: Stage) -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in stage.all("ENV") for pair in rest.split())


def output(*command: object, **options: object) -> str:
    done = subprocess.run(
        list(map(str, command)),
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
        **options,
    )
    return done.stdout


def test_the_parser_sees_the_whole_file():
    assert list(stages()) == ["export", "serve"]
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    written = re.findall(r"^([A-Z]+) ", text, re.MULTILINE)
    read = [name for stage in stages().values() for name in ["FROM", *dict(stage.steps)]]
    assert set(read) == set(written)
    assert text.startswith("# ")
    assert "\nARG PYTHON=python:3.11-slim\n" in text.partition("\nFROM ")[0]
    assert all(stage.base == "${PYTHON}" for stage in stages().values())


@pytest.mark.parametrize("stage", stages().values(), ids=lambda stage: stage.name)
def test_every_copied_file_exists_and_is_in_the_build_context(stage: Stage):
    taken = [source for sources, _ in copies(stage) for source in sources]
    taken += [m["source"] for m in mounts(stage) if "source" in m and "from" not in m]
    assert taken
    for source in taken:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source


def test_the_build_context_contains_nothing_else():
    top = {path.name for path in ROOT.iterdir() if not ignored(path.name)}
    named = {f"requirements{name}.txt" for name in ("", "-serve", "-torch")}
    named |= {"LICENSE", "README.md", "pyproject.toml", "src"}
    assert top - {"final_model", "models"} == named
    assert ignored("src/patclass/__pycache__/config.pyc")
    assert ignored("final_model.run/curve.jsonl")
    assert not ignored("src/patclass/shipped/manifest.json")
    assert not ignored("models/mine/manifest.json")


def test_torch_is_installed_last_and_alone():
    first, second = commands(EXPORT)[:2]
    assert first.endswith(" --no-deps --require-hashes -r requirements.txt")
    assert re.fullmatch(r'pip install .*\$\{TORCH_INDEX:\+.*"\} -r requirements-torch\.txt', second)
    assert 'TORCH_INDEX=""' in EXPORT.all("ARG")


def test_the_model_of_the_image_is_exported_and_readable_by_all():
    (run,) = [command for command in commands(EXPORT) if "patclass export" in command]
    assert "MODEL=shipped" in EXPORT.all("ARG")
    arguments = re.search(r"patclass export (.*?) &&", run).group(1).replace('"', "").split()
    main.commands["export"].make_context("export", arguments)
    assert run.endswith("chmod -R a+rX /model")
    assert "--from=export /model /model" in SERVE.all("COPY")
    assert environment(SERVE)["PATCLASS_MODEL"] == "/model"


def test_the_runtime_image_installs_only_what_the_service_needs():
    installs = [command for command in commands(SERVE) if "pip" in command]
    assert [command.split(" --no-cache-dir ")[1] for command in installs] == [
        "--no-deps --require-hashes -r requirements-serve.txt",
        "--no-deps dist/*.whl",
    ]
    assert not any("torch" in rest for _, rest in SERVE.steps)
    assert [options(rest.split()) for rest in SERVE.all("COPY")] == [{"from": "export"}]


def test_the_image_runs_as_an_unprivileged_user():
    user, group = SERVE.one("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert SERVE.steps.index(("USER", f"{user}:{group}")) > max(
        number for number, (name, _) in enumerate(SERVE.steps) if name in ("RUN", "COPY")
    )
    keys = Path(environment(SERVE)[KEYS])
    assert keys.name == DEFAULT_FILE
    assert f"install -d -o {user} -g {group} -m 700 {keys.parent} /store" in commands(SERVE)


def test_the_command_of_the_image_is_valid():
    program, command, *flags = SERVE.exec_form("CMD")
    assert (program, command) == ("patclass", "serve")
    understood = main.commands[command].make_context(command, flags).params
    assert (understood["host"], int(understood["port"])) == ("0.0.0.0", PORT)
    assert SERVE.one("EXPOSE") == str(PORT)
    assert SERVE.one("STOPSIGNAL") == "SIGTERM"


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (None, False)])
def test_the_health_check_calls_the_service(
    status: int | None, healthy: bool, monkeypatch: pytest.MonkeyPatch
):
    requested_paths = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requested_paths.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments: object):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    port = server.server_port
    if status is None:
        server.server_close()
    else:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    # A proxy that does not exist: a check that used it would always fail.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    _, *arguments = SERVE.exec_form("HEALTHCHECK")
    arguments = [word.replace(f":{PORT}/", f":{port}/") for word in arguments]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    if status is not None:
        server.shutdown()
        server.server_close()
    assert (done.returncode == 0) is healthy
    assert requested_paths == ([] if status is None else ["/livez"])


def is_secret(info: FieldInfo) -> bool:
    return SecretStr in get_args(info.annotation)


def composed() -> dict[str, dict[str, object]]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]


@pytest.mark.parametrize("name", ["api", "keys"])
def test_composed_services_run_with_minimal_privileges(name: str):
    service = composed()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "cap_add", "user", "env_file", "devices"}
    assert ("environment" in service) is (name == "api")


def test_the_composed_service_gets_the_settings_of_look_ups_and_no_other():
    given = composed()["api"]["environment"]
    secrets = [name for name, info in OfficesSettings.model_fields.items() if is_secret(info)]
    names = {f"{OFFICES}{name.upper()}" for name in secrets}
    assert set(given) == names | {"PATCLASS_SERVE_OFFICES"}
    assert all(value == f"${{{name}:-}}" for name, value in given.items())


def test_look_ups_are_off_where_their_variables_are_empty():
    empty = dict.fromkeys(composed()["api"]["environment"], "")
    assert ServiceSettings.load({}, environment=empty).offices is False
    assert OfficesSettings.load({}, environment=empty).epo_key is None


def test_the_composed_service_is_built_from_the_last_stage_and_bound_to_loopback():
    api = composed()["api"]
    assert api["build"]["target"] == list(stages())[-1] == "serve"
    assert (ROOT / api["build"]["context"] / "Dockerfile").is_file()
    arguments = {argument.split("=")[0] for argument in EXPORT.all("ARG")}
    assert set(api["build"]["args"]) == arguments | {"PYTHON"}
    assert api["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert api["mem_limit"]
    assert api["cpuset"]
    assert api["tmpfs"][0].startswith("/tmp:")
    assert "test" not in api["healthcheck"]  # that of the image
    assert api["stop_grace_period"] == "15s"


def test_keys_are_created_in_one_container_and_read_in_the_other():
    api, keys = composed()["api"], composed()["keys"]
    folder = Path(environment(SERVE)[KEYS]).parent
    assert api["volumes"][0] == f"keys:{folder}:ro"
    assert keys["volumes"] == [f"keys:{folder}"]
    assert keys["image"] == api["image"]
    assert keys["entrypoint"] == ["patclass", "keys"]
    assert keys["command"][0] in main.commands["keys"].commands
    assert keys["profiles"]  # otherwise 'up' would start it
    assert keys["network_mode"] == "none"


def test_the_image_has_a_complete_environment_without_torch(serve_python: Path):
    pip = (sys.executable, "-m", "pip", "--python", serve_python)
    assert "No broken requirements found" in output(*pip, "check")
    installed = output(*pip, "list", "--format=freeze").splitlines()
    names = {line.split("==")[0].lower() for line in installed}
    assert {"openvino", "fastapi"} <= names
    # scipy is installed for the monitor, and imported only by it.
    assert not names & {*HEAVY - {"scipy"}, "scikit-learn", "nncf", "datasets"}


def test_importing_the_service_is_fast_and_needs_little_memory(serve_python: Path):
    seconds, megabytes = [], []
    for _ in range(RUNS):
        figures, modules = output(serve_python, "-c", IMPORT).splitlines()
        seconds.append(float(figures.split()[0]))
        megabytes.append(float(figures.split()[1]))
        assert not set(modules.split()) & HEAVY
    print(f"imported in {min(seconds):.2f} s, {max(megabytes):.0f} MB")
    assert max(megabytes) < MAX_MEGABYTES
    if full(False, True):
        assert min(seconds) < MAX_IMPORT_SECONDS


@pytest.mark.full
def test_the_programs_of_the_image_start(image_python: Path):
    assert "patclass" in output(sys.executable, "-m", "pip", "--python", image_python, "list")
    program = image_python.with_name("patclass")
    assert "--host" in output(program, "serve", "--help")
    assert "create" in output(program, "keys", "--help")


def test_a_command_that_the_image_cannot_run_says_so(serve_python: Path, tmp_path: Path):
    done = subprocess.run(
        [serve_python, "-m", "patclass", "train", "--data", "sample"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: 'patclass train' needs \w+: pip install 'patclass\[train\]'\n", done.stderr
    )


def test_the_store_is_in_a_volume_of_its_own():
    file = Path(environment(SERVE)[DATABASE].removeprefix("sqlite:///"))
    assert file.is_absolute()
    assert composed()["api"]["volumes"][1] == f"store:{file.parent}"
    assert f"install -d -o 10001 -g 10001 -m 700 /keys {file.parent}" in commands(SERVE)
