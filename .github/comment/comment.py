"""Put the report of a measuring run into its pull request: one comment, created once and updated from then on.

This runs with a token that may write, on files that code from a fork may have written. So it trusts nothing in them:
sizes are bounded, the report must carry the marker, its mentions call nobody, and the number must name an open pull
request whose head is the very commit that the triggering run measured (which GitHub says, not the files). It runs
nothing of what it reads. Standard library only: the job that comments installs nothing.

Source of the pattern: GitHub Security Lab, "Preventing pwn requests" (two workflows, the second with the rights).
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARKER = "<!-- mct-report -->"
BOT = "github-actions[bot]"
LARGEST_BODY = 60_000
"""Bytes. GitHub takes 65,536 characters; what is appended here must fit too."""
LARGEST_NUMBER_FILE = 12
PAGE = 100
TIMEOUT_S = 30


class Refused(Exception):  # noqa: N818 - the outcome of a check
    """The files are not what the measuring run should have left, or not about this run."""


@dataclass(frozen=True)
class Run:
    """The run that triggered this one, as GitHub describes it: what it measured, and from whose repository."""

    head_sha: str
    head_repository: str
    url: str


@dataclass(frozen=True)
class Api:
    """GitHub's REST interface for one repository ("owner/name"), with the token of this job."""

    root: str
    repository: str
    token: str

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer. `urllib.error.HTTPError` where GitHub declines."""
        request = urllib.request.Request(
            f"{self.root}/repos/{self.repository}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return json.load(response)


def main() -> None:
    """Read the folder named on the command line and comment; exit code 1 with one line where that is refused."""
    api = Api(os.environ["GITHUB_API_URL"], os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"])
    run = Run(os.environ["RUN_HEAD_SHA"], os.environ["RUN_HEAD_REPOSITORY"], os.environ["RUN_URL"])
    folder = Path(sys.argv[1])
    try:
        number, report = read_number(folder / "pr-number"), read_report(folder / "report.md")
        check_belongs(api, number, run)
        print(put_comment(api, number, signed(report, run)))
    except Refused as refusal:
        sys.exit(f"::error::no comment was written: {refusal}")
    except urllib.error.HTTPError as error:
        sys.exit(f"::error::GitHub answered {error.code} ({error.reason}) to {error.url}")


def read_number(path: Path) -> int:
    """The pull request's number: digits and nothing else."""
    text = _read(path, LARGEST_NUMBER_FILE).strip()
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text, re.ASCII):
        raise Refused(f"{path.name} holds no pull request number")
    return int(text)


def read_report(path: Path) -> str:
    """The Markdown, which must begin with the marker line. Mentions in it notify nobody."""
    text = _read(path, LARGEST_BODY)
    first, _, rest = text.partition("\n")
    if first.strip() != MARKER:
        raise Refused(f"{path.name} does not begin with {MARKER}")
    silenced = re.sub(r"@(?=\w)", "@\u200b", rest.replace(MARKER, ""))
    return f"{MARKER}\n{silenced.rstrip()}\n"


def check_belongs(api: Api, number: int, run: Run) -> None:
    """The pull request is open, and its head is what the run measured."""
    try:
        pull = api.call("GET", f"pulls/{number}")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise Refused(f"there is no pull request {number}") from error
        raise
    head = pull["head"]
    if pull["state"] != "open":
        raise Refused(f"pull request {number} is {pull['state']}")
    if head["sha"] != run.head_sha or (head["repo"] or {}).get("full_name") != run.head_repository:
        raise Refused(
            f"pull request {number} is not at the commit that was measured: it has been pushed to since, "
            "or the number is not this run's"
        )


def signed(report: str, run: Run) -> str:
    """The report with what only the trusted side knows: the commit and the run it comes from."""
    return f"{report}\n<sub>Measured at {run.head_sha[:12]} in [this run]({run.url}).</sub>\n"


def put_comment(api: Api, number: int, body: str) -> str:
    """Update the bot's own marked comment, or create it. Returns the comment's address."""
    for comment in _comments(api, number):
        if comment["user"]["login"] == BOT and comment["body"].startswith(MARKER):
            return str(api.call("PATCH", f"issues/comments/{comment['id']}", {"body": body})["html_url"])
    return str(api.call("POST", f"issues/{number}/comments", {"body": body})["html_url"])


def _comments(api: Api, number: int) -> Iterator[Mapping[str, Any]]:
    page = 1
    while True:
        found = api.call("GET", f"issues/{number}/comments?per_page={PAGE}&page={page}")
        yield from found
        if len(found) < PAGE:
            return
        page += 1


def _read(path: Path, most_bytes: int) -> str:
    if path.is_symlink() or not path.is_file():
        raise Refused(f"the measuring run left no {path.name}")
    if path.stat().st_size > most_bytes:
        raise Refused(f"{path.name} is larger than {most_bytes} bytes")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{path.name} is not UTF-8 text") from error


if __name__ == "__main__":
    main()
