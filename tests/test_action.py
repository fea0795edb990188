"""The pull request's two halves: the action that measures (and may write nothing), and the one that comments.

What cannot run here is GitHub itself: its REST interface is played by a server on localhost, its runner by setting the
variables that it sets. What is measured is timed by the CPU's clock, so that nothing hangs on the machine's other work.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mct.cli import commands

yaml = pytest.importorskip("yaml", reason="the action's files are YAML: pip install 'mangaassist-mct[dev]'")

ROOT = Path(__file__).resolve().parents[1]
MEASURES = ROOT / "examples" / "github" / "bench-pull-request.yml"
COMMENTS = ROOT / "examples" / "github" / "comment-pull-request.yml"
ACTIONS = [ROOT / "action.yml", *(ROOT / ".github" / name / "action.yml" for name in ("comment", "pipeline"))]
SCRIPTS = ROOT / ".github" / "bench"
MARKER = "<!-- mct-report -->"
CPU_CLOCK = ROOT / "tests" / "cpu_clock"


def read(path: Path) -> dict[str, Any]:
    """A workflow or action. YAML 1.1 reads the key `on` as true; GitHub does not."""
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in found.items()}


def steps(path: Path) -> list[dict[str, Any]]:
    found = read(path)
    if "runs" in found:
        return list(found["runs"]["steps"])
    return [step for job in found["jobs"].values() for step in job["steps"]]


# -- the files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "path"),
    [("github-workflows", MEASURES), ("github-workflows", COMMENTS), *(("github-actions", path) for path in ACTIONS)],
    ids=lambda value: value if isinstance(value, str) else value.parent.name + "-" + value.stem,
)
def test_the_file_is_valid_by_its_schema(schema: str, path: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="GitHub's schemas come with: pip install 'mangaassist-mct[dev]'")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_measures_may_write_nothing() -> None:
    workflow = read(MEASURES)
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in workflow["jobs"]["bench"]
    assert set(workflow["on"]) == {"pull_request"}, "pull_request_target would run a fork's code with a write token"
    assert "secrets." not in MEASURES.read_text(encoding="utf-8")
    checkout = steps(MEASURES)[0]
    assert checkout["with"]["persist-credentials"] is False


def test_what_comments_may_only_comment_and_runs_nothing_of_the_pull_request() -> None:
    workflow = read(COMMENTS)
    assert workflow["permissions"] == {}
    assert workflow["jobs"]["comment"]["permissions"] == {"actions": "read", "pull-requests": "write"}
    assert set(workflow["on"]) == {"workflow_run"}
    used = [step.get("uses", "") for step in steps(COMMENTS) + steps(ACTIONS[1])]
    assert not any(name.startswith("actions/checkout") for name in used)


def test_the_comment_follows_the_workflow_that_measures() -> None:
    assert read(COMMENTS)["on"]["workflow_run"]["workflows"] == [read(MEASURES)["name"]]


@pytest.mark.parametrize("path", [MEASURES, COMMENTS, *ACTIONS], ids=lambda path: path.parent.name + "-" + path.stem)
def test_no_expression_stands_inside_a_script(path: Path) -> None:
    """An expression in `run` is pasted into the shell before it is parsed: a branch name could be a command."""
    for step in steps(path):
        assert "${{" not in step.get("run", ""), step


@pytest.mark.parametrize("path", [MEASURES, COMMENTS, *ACTIONS], ids=lambda path: path.parent.name + "-" + path.stem)
def test_only_githubs_own_actions_are_used_at_a_major_version(path: Path) -> None:
    for used in (step["uses"] for step in steps(path) if "uses" in step):
        assert re.fullmatch(r"actions/[a-z-]+@v\d+|OWNER/mct(/\.github/comment)?@v\d+", used), used


def test_the_examples_give_inputs_that_the_action_has() -> None:
    given = next(step["with"] for step in steps(MEASURES) if step.get("uses", "").startswith("OWNER/mct"))
    known = read(ACTIONS[0])["inputs"]
    assert set(given) <= set(known)
    assert {name for name, value in known.items() if value.get("required")} <= set(given)


def test_every_script_of_an_action_exists_and_gets_what_it_reads() -> None:
    for action in ACTIONS:
        runs = [step for step in steps(action) if "$GITHUB_ACTION_PATH/" in step.get("run", "")]
        assert runs, f"{action.name} runs no script of its own"
        for step in runs:
            for name in re.findall(r"\$GITHUB_ACTION_PATH/([^\"]+)", step["run"]):
                text = (action.parent / name).read_text(encoding="utf-8")
                read_by_it = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", text)) | set(
                    re.findall(r'environ\["([A-Z_]+)"', text)
                )
                given = set(step.get("env", {}))
                own = {name for name in read_by_it if re.search(rf"^\s*{name}=", text, re.MULTILINE)}
                theirs = {name for name in read_by_it if name.startswith("GITHUB_") or name == "RUNNER_TEMP"}
                assert read_by_it - own - theirs == given - theirs, f"{name} reads {read_by_it}, is given {given}"


# -- the comment --------------------------------------------------------------------------------------------------

SHA = "c" * 40
FORK = "reader/shop"


@dataclass
class GitHub:
    """As much of GitHub as a comment needs: pull requests, and comments in pages."""

    pulls: dict[int, dict[str, Any]]
    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        path, _, query = path.partition("?")
        if found := re.fullmatch(r"/repos/shop/models/pulls/(\d+)", path):
            pull = self.pulls.get(int(found[1]))
            return (200, pull) if pull else (404, {"message": "Not Found"})
        if method == "GET" and re.fullmatch(r"/repos/shop/models/issues/\d+/comments", path):
            page = int(re.search(r"\bpage=(\d+)", query)[1])  # type: ignore[index]
            return 200, self.comments[(page - 1) * 100 : page * 100]
        assert body is not None
        if method == "POST":
            self.comments.append(comment(len(self.comments) + 1, body["body"]))
            return 201, self.comments[-1]
        number = int(path.rpartition("/")[2])
        self.comments[number - 1]["body"] = body["body"]
        return 200, self.comments[number - 1]


def comment(number: int, body: str, login: str = "github-actions[bot]") -> dict[str, Any]:
    return {"id": number, "body": body, "user": {"login": login}, "html_url": f"https://github.test/comment/{number}"}


def pull(sha: str = SHA, repository: str | None = FORK, state: str = "open") -> dict[str, Any]:
    return {"state": state, "head": {"sha": sha, "repo": repository and {"full_name": repository}}}


@pytest.fixture
def github() -> Iterator[GitHub]:
    """A server on localhost with pull request 7, of a fork, at the commit that was measured."""
    state = GitHub({7: pull()})

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            assert self.headers["Authorization"] == "Bearer of-the-job"
            code, value = state.answer(self.command, self.path, body)
            content = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()


def run_comment(github: GitHub, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "GITHUB_API_URL": github.url,
        "GITHUB_REPOSITORY": "shop/models",
        "GITHUB_TOKEN": "of-the-job",
        "RUN_HEAD_SHA": SHA,
        "RUN_HEAD_REPOSITORY": FORK,
        "RUN_URL": "https://github.test/run/1",
        "no_proxy": "127.0.0.1",
    }
    script = ROOT / ".github" / "comment" / "comment.py"
    command = [sys.executable, "-I", str(script), str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """What the measuring run leaves."""
    (tmp_path / "pr-number").write_text("7\n", encoding="utf-8")
    (tmp_path / "report.md").write_text(f"{MARKER}\n| head | 1.2 ms |\n", encoding="utf-8")
    return tmp_path


def test_the_comment_is_created_where_there_is_none(github: GitHub, left: Path) -> None:
    done = run_comment(github, left)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "https://github.test/comment/1"
    (written,) = github.comments
    assert written["body"].startswith(f"{MARKER}\n| head | 1.2 ms |\n")
    assert "https://github.test/run/1" in written["body"]
    assert SHA[:12] in written["body"]


def test_the_comment_is_updated_where_there_is_one_however_far_down(github: GitHub, left: Path) -> None:
    github.comments = [comment(number, "talk", "reader") for number in range(1, 151)]
    github.comments[129] = comment(130, f"{MARKER}\nold")
    done = run_comment(github, left)
    assert done.returncode == 0, done.stderr
    assert len(github.comments) == 150
    assert "1.2 ms" in github.comments[129]["body"]


def test_a_marked_comment_of_somebody_else_is_left_alone(github: GitHub, left: Path) -> None:
    github.comments = [comment(1, f"{MARKER}\nmine", "reader")]
    assert run_comment(github, left).returncode == 0
    assert github.comments[0]["body"] == f"{MARKER}\nmine"
    assert len(github.comments) == 2


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (pull(sha="d" * 40), "not at the commit"),
        (pull(repository="other/shop"), "not at the commit"),
        (pull(repository=None), "not at the commit"),
        (pull(state="closed"), "is closed"),
        (None, "no pull request 7"),
    ],
    ids=["another commit", "another fork", "fork deleted", "closed", "absent"],
)
def test_a_pull_request_that_is_not_the_runs_gets_no_comment(
    github: GitHub, left: Path, found: dict[str, Any] | None, reason: str
) -> None:
    github.pulls = {7: found} if found else {}
    done = run_comment(github, left)
    assert done.returncode == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert not github.comments


@pytest.mark.parametrize("number", ["", "0", "-7", "7; rm -rf /", "7\n8", "../7", "٧", "1" * 11])
def test_a_number_that_is_none_is_refused_before_github_is_asked(github: GitHub, left: Path, number: str) -> None:
    (left / "pr-number").write_text(number, encoding="utf-8")
    done = run_comment(github, left)
    assert done.returncode == 1
    assert "::error::no comment was written" in done.stderr
    assert not github.asked


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"| no marker |", "does not begin with"),
        (b"text\n<!-- mct-report -->\n", "does not begin with"),
        (b"<!-- mct-report -->\n" + b"x" * 60_000, "larger than 60000 bytes"),
        (b"<!-- mct-report -->\n\xff\xfe", "not UTF-8"),
    ],
    ids=["no marker", "marker not first", "too large", "not text"],
)
def test_a_report_that_is_none_is_refused_before_github_is_asked(
    github: GitHub, left: Path, content: bytes, reason: str
) -> None:
    (left / "report.md").write_bytes(content)
    done = run_comment(github, left)
    assert done.returncode == 1
    assert reason in done.stderr
    assert not github.asked


def test_a_link_to_a_file_of_the_runner_is_not_followed(github: GitHub, left: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{MARKER}\nof the runner", encoding="utf-8")
    (left / "report.md").unlink()
    (left / "report.md").symlink_to(secret)
    assert run_comment(github, left).returncode == 1
    assert not github.comments


def test_the_report_cannot_call_people_nor_hide_a_second_marker(github: GitHub, left: Path) -> None:
    (left / "report.md").write_text(f"{MARKER}\n@shop/everyone look {MARKER}", encoding="utf-8")
    assert run_comment(github, left).returncode == 0
    body = github.comments[0]["body"]
    assert not re.search(r"@\w", body)
    assert "shop/everyone look" in body
    assert body.count(MARKER) == 1


# -- building and judging -----------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@b.test", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository whose build copies `model` to `out/model`: one at the base, another at the head."""
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init")
    for content in ("base", "head"):
        (folder / "model").write_text(content, encoding="utf-8")
        git(folder, "add", ".")
        git(folder, "commit", "-m", content)
    return folder


def run_script(name: str, folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    runner = folder.parent / "runner"
    runner.mkdir(exist_ok=True)
    environment = os.environ | {"RUNNER_TEMP": str(runner), "GITHUB_OUTPUT": str(runner / "output")} | given
    command = ["bash", str(SCRIPTS / name)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)


def outputs(folder: Path) -> dict[str, str]:
    lines = (folder.parent / "runner" / "output").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


BUILD = {"BUILD": "mkdir -p out && cp model out/model", "BASE_REF": "", "BASE_ARTIFACT": "", "HEAD_ARTIFACT": "out"}


def test_the_command_builds_both_sides_and_leaves_the_workspace_at_the_head(shop: Path) -> None:
    done = run_script("build.sh", shop, **BUILD)
    assert done.returncode == 0, done.stderr
    found = outputs(shop)
    assert (Path(found["base"]) / "model").read_text() == "base"
    assert (shop / found["head"] / "model").read_text() == "head"


def test_a_base_that_is_not_there_is_fetched(shop: Path, tmp_path: Path) -> None:
    tip = subprocess.run(["git", "rev-parse", "HEAD^1"], cwd=shop, capture_output=True, text=True, check=True)
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--depth=1", shop.as_uri(), str(shallow))
    git(shop, "config", "uploadpack.allowAnySHA1InWant", "true")
    assert run_script("build.sh", shallow, **BUILD).returncode == 2
    done = run_script("build.sh", shallow, **(BUILD | {"BASE_REF": tip.stdout.strip()}))
    assert done.returncode == 0, done.stderr
    assert (Path(outputs(shallow)["base"]) / "model").read_text() == "base"


def test_a_build_that_fails_fails_the_step(shop: Path) -> None:
    assert run_script("build.sh", shop, **(BUILD | {"BUILD": "false; true"})).returncode != 0


def test_artifacts_that_exist_are_taken_as_they_are(shop: Path) -> None:
    given = {"BUILD": "", "BASE_REF": "", "BASE_ARTIFACT": "models/old one", "HEAD_ARTIFACT": "models/new"}
    assert run_script("build.sh", shop, **given).returncode == 0
    assert outputs(shop) == {"base": "models/old one", "head": "models/new"}


def test_nothing_to_compare_with_is_said(shop: Path) -> None:
    done = run_script("build.sh", shop, **(BUILD | {"BUILD": ""}))
    assert done.returncode == 2
    assert "base-artifact" in done.stderr


@pytest.mark.parametrize(
    ("fail_on", "outcome", "code"),
    [
        ("worse", "pass", 0), ("worse", "inconclusive", 0), ("worse", "fail", 1),
        ("inconclusive", "pass", 0), ("inconclusive", "inconclusive", 3), ("inconclusive", "fail", 1),
        ("never", "fail", 0), ("sometimes", "pass", 2), ("worse", "", 2),
    ],
)  # fmt: skip
def test_what_fails_the_step_is_the_users_choice(shop: Path, fail_on: str, outcome: str, code: int) -> None:
    assert run_script("judge.sh", shop, FAIL_ON=fail_on, OUTCOME=outcome).returncode == code


# -- measuring ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tiny_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with an artifact at the base, the same at the head, and an evaluation set."""
    folder = tmp_path_factory.mktemp("action") / "workspace"
    for side in ("base", "head"):
        shutil.copytree(tiny_onnx / "onnx-fp32", folder / side)
    rows = [json.dumps({"utterance": f"where is order {number}", "label": "returns"}) for number in range(250)]
    (folder / "eval.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.mark.skipif(
    not {"bench", "compare", "report"} <= set(commands.commands), reason="this mct has no `mct compare` or `mct report`"
)
def test_the_report_is_in_the_summary_and_in_a_form_that_the_comment_takes(models: Path, github: GitHub) -> None:
    runner = models.parent / "runner"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {"BASE": "base", "HEAD": "head", "DATA": "eval.jsonl", "FIELDS": "text=utterance", "BUDGET": "",
             "TARGET": "cpu", "MAX_SECONDS": "5", "PR_NUMBER": "7", "PATH": path,
             "GITHUB_STEP_SUMMARY": str(runner / "summary"), "PYTHONPATH": str(CPU_CLOCK)}  # fmt: skip
    done = run_script("bench.sh", models, **given)
    assert done.returncode == 0, done.stdout + done.stderr
    found = outputs(models)
    assert found["outcome"] in {"pass", "inconclusive"}
    report = Path(found["report"])
    text = (report / "report.md").read_text(encoding="utf-8")
    assert (runner / "summary").read_text(encoding="utf-8") == text
    assert "| head |" in text
    assert json.loads((report / "compare.json").read_text(encoding="utf-8"))
    assert run_comment(github, report).returncode == 0
    assert "| head |" in github.comments[0]["body"]


# -- a pipeline ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("second", "code", "outcome"), [("targets list", 0, "pass"), ("gate bad.json", 2, "")])
def test_a_pipeline_says_in_the_summary_what_became_of_each_step(
    tmp_path: Path, second: str, code: int, outcome: str
) -> None:
    steps = "".join(
        f'[[steps]]\nname = "s{number}"\nrun = "{run}"\n' for number, run in enumerate(("models list", second))
    )
    (tmp_path / "pipeline.toml").write_text(steps, encoding="utf-8")
    runner = tmp_path / "runner"
    runner.mkdir()
    environment = os.environ | {
        "RUNNER_TEMP": str(runner), "GITHUB_OUTPUT": str(runner / "output"), "FILE": "pipeline.toml",
        "GITHUB_STEP_SUMMARY": str(runner / "summary"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    command = ["bash", str(ROOT / ".github" / "pipeline" / "run.sh")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    if outcome:
        assert (runner / "output").read_text(encoding="utf-8") == f"outcome={outcome}\n"
        assert "| s1 | done | 0 |" in (runner / "summary").read_text(encoding="utf-8")
