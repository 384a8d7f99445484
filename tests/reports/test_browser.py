"""The page in a real browser: no error, tables that sort and filter, and nothing wider than a phone.

A script added to a copy of the page does what a reader would do and writes what it saw into the page.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reports.answers import answers
from reports.comparison import quiet_latencies
from reports.exhibits import FigureExhibit, TableExhibit
from reports.loading import load
from reports.page import render_page
from reports.runs import Runs
from reports.side_by_side import side_by_side
from suite.statistics import unpaired_ratio, verdict
from tests.reports.claims_records import save_in_doubt

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

PHONE_PX = 390

LOOK = """
<script>
window.addEventListener("load", () => {
  const seen = {};
  const table = document.querySelector("#table-latency table");
  const column = [...table.tHead.rows[0].cells].findIndex((header) => header.textContent.startsWith("Median"));
  const button = table.tHead.rows[0].cells[column].querySelector("button");
  const keys = () => [...table.tBodies[0].rows].map((row) => row.cells[column].dataset.key);
  const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
  seen.before = keys();
  button.click(); seen.ascending = keys(); seen.sort = table.tHead.rows[0].cells[column].getAttribute("aria-sort");
  button.click(); seen.descending = keys();
  table.tHead.rows[0].cells[0].querySelector("button").click(); seen.names = names();
  const filter = document.querySelector("#table-latency .filter");
  const type = (words) => {
    filter.querySelector("input").value = words;
    filter.querySelector("input").dispatchEvent(new Event("input"));
    return [...table.tBodies[0].rows].filter((row) => row.offsetHeight > 0).map((row) => row.textContent);
  };
  seen.filtered = type("parti FLASH"); seen.told = filter.querySelector("output").value;
  seen.none = type("no such words").length;
  seen.all = type("").length; seen.cleared = filter.querySelector("output").value;
  seen.savable = document.querySelectorAll("details.csv > button").length;
  document.querySelector("details.csv > button").click();
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  seen.scheme = [dark, getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color];
  const section = document.querySelector("#compare"), [first, second] = section.querySelectorAll("select");
  const choose = (select, value) => { select.value = value; select.dispatchEvent(new Event("change")); };
  const shown = () => [...section.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
  const said = () => section.querySelector("output").value;
  seen.choices = [...first.options].map((one) => [one.value, one.textContent]);
  seen.pairs = {};
  for (const pair of [["run 0", "run 1"], ["run 0", "run 5"], ["group 0", "group 1"], ["group 0", "run 1"]]) {
    choose(first, pair[0]); choose(second, pair[1]);
    seen.pairs[pair.join(" ")] = [shown(), said()];
    section.querySelector("button").click();
    seen.pairs[pair.reverse().join(" ")] = [shown(), said()];
  }
  seen.visible = section.offsetHeight > 0;
  const result = document.createElement("pre");
  result.id = "seen"; result.textContent = JSON.stringify(seen);
  document.body.append(result);
});
</script>
"""
LOOK_AT_DOUBTS = """
<script>
window.addEventListener("load", () => {
  const section = document.querySelector("#compare"), [first, second] = section.querySelectorAll("select");
  const choose = (select, value) => { select.value = value; select.dispatchEvent(new Event("change")); };
  const seen = {};
  for (const [a, b] of [[0, 1], [1, 0], [0, 2], [2, 0], [1, 2]]) {
    choose(first, `run ${a}`); choose(second, `run ${b}`);
    seen[`${a} ${b}`] = [...section.querySelector("tbody tr").cells].slice(4).map((cell) => cell.textContent);
  }
  const result = document.createElement("pre");
  result.id = "seen"; result.textContent = JSON.stringify(seen);
  document.body.append(result);
});
</script>
"""
FRAME = """<!doctype html><body style="margin:0"><iframe src="page.html" style="width:%dpx;height:2000px;border:0"></iframe>
<script>
window.addEventListener("load", () => {
  const inside = document.querySelector("iframe").contentDocument.documentElement;
  const wide = [...inside.querySelectorAll("body *")]
    .filter((one) => !one.closest(".scroll, .card, nav, pre, .skip"))
    .filter((one) => one.getBoundingClientRect().right > inside.clientWidth + 1);
  const seen = { page: inside.scrollWidth, window: inside.clientWidth, wide: wide.map((one) => one.outerHTML.slice(0, 90)) };
  const result = document.createElement("pre");
  result.id = "seen"; result.textContent = JSON.stringify(seen);
  document.body.append(result);
});
</script>"""


def browse(path: Path, *options: str) -> tuple[dict[str, Any], list[str]]:
    """What the page's script saw, and what the console said."""
    profile = path.parent / "profile"
    command = [
        str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
        "--allow-file-access-from-files", "--virtual-time-budget=20000", f"--user-data-dir={profile}", *options,
        path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1])), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def page(
    runs: Runs,
    drawn: dict[str, FigureExhibit],
    built: dict[str, TableExhibit],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    content = render_page(runs, list(drawn.values()), list(built.values()), answers(runs))
    (folder / "page.html").write_text(content, encoding="utf-8")
    (folder / "look.html").write_text(content.replace("</body>", f"{LOOK}</body>"), encoding="utf-8")
    (folder / "phone.html").write_text(FRAME % PHONE_PX, encoding="utf-8")
    return folder


def test_tables_sort_and_filter_without_an_error(page: Path) -> None:
    seen, console = browse(page / "look.html", "--window-size=1200,900")
    assert console == []
    numbers = [float(key) for key in seen["ascending"]]
    assert numbers == sorted(numbers)
    assert sorted(map(float, seen["before"])) == numbers
    assert [float(key) for key in seen["descending"]] == numbers[::-1]
    assert seen["sort"] == "ascending"
    assert seen["names"] == sorted(seen["names"])
    assert len(seen["filtered"]) == 1
    assert "parti" in seen["filtered"][0]
    assert seen["told"] == f"1 of {seen['all']} rows"
    assert (seen["none"], seen["cleared"]) == (0, "")
    assert seen["savable"] >= 1


def test_any_two_stand_side_by_side(page: Path, runs: Runs) -> None:
    """What the page's script says of two runs is what `suite.statistics` says of their trials."""
    seen, _ = browse(page / "look.html", "--window-size=1200,900")
    assert seen["visible"]
    told = side_by_side(runs)
    assert told is not None
    ids = {record.run_id[:8]: record.run_id for record in runs.records}
    samples = quiet_latencies(runs)
    samples = samples[samples["arm"] == "stack"]

    def trials(at: int) -> list[float]:
        return list(samples[samples["run_id"] == ids[told["runs"][at]["id"]]]["value"])

    rows, _ = seen["pairs"]["run 0 run 5"]
    expected = unpaired_ratio(trials(0), trials(5))
    shown = [float(number) for number in re.findall(r"[\d.]+", rows[0][3])]
    assert rows[0][0] == "latency"
    assert shown == pytest.approx([expected.median, expected.low, expected.high], rel=0.005)
    words = {"FASTER": "slower", "SLOWER": "faster", "SAME": "no difference", "UNCLEAR": "cannot be told"}
    assert rows[0][4] == words[verdict(expected)]  # the speed-up of A over B
    assert {row[5] for row in rows if row[0].startswith("host time")} == {"one profiled pass"}

    for pair, swapped in (("run 0 run 1", "run 1 run 0"), ("group 0 group 1", "group 1 group 0")):
        there, back = seen["pairs"][pair][0], seen["pairs"][swapped][0]
        assert [row[0] for row in there] == [row[0] for row in back]
        for one, other in zip(there, back, strict=True):
            assert (one[1], one[2]) == (other[2], other[1])
            product = float(re.findall(r"[\d.]+", one[3])[0]) * float(re.findall(r"[\d.]+", other[3])[0])
            assert product == pytest.approx(1, rel=0.01)
    assert "paired trials" in seen["pairs"]["run 0 run 1"][0][0][5]
    assert len(seen["pairs"]["group 0 group 1"][0]) >= 4
    assert all(": " in row[0] for row in seen["pairs"]["group 0 group 1"][0])
    assert seen["pairs"]["group 0 run 1"] == [[], "Choose two runs or two groups."]


def test_a_machine_that_was_not_quiet_decides_nothing_unless_the_pairs_do(tmp_path: Path) -> None:
    content = render_page(load(save_in_doubt(tmp_path / "runs")), [], [], {})
    (tmp_path / "look.html").write_text(content.replace("</body>", f"{LOOK_AT_DOUBTS}</body>"), encoding="utf-8")
    seen, console = browse(tmp_path / "look.html")
    assert console == []
    noisy = "on a machine that was not quiet"
    assert seen == {
        "0 1": ["slower", f"30 paired trials of B; B {noisy}"],
        "1 0": ["faster", f"30 paired trials of A; A {noisy}"],
        "0 2": ["cannot be told", f"30 paired trials of B; B {noisy}"],
        "2 0": ["cannot be told", f"30 paired trials of A; A {noisy}"],
        "1 2": ["cannot be told", f"10 trials of either; A and B {noisy}"],
    }


def test_dark_and_light_are_told_apart(page: Path) -> None:
    light = browse(page / "look.html")[0]["scheme"]
    dark = browse(page / "look.html", "--blink-settings=preferredColorScheme=0")[0]["scheme"]
    assert (light[0], dark[0]) == (False, True)
    brightness = [sum(int(part) for part in re.findall(r"\d+", colour)[:3]) for colour in (*light[1:], *dark[1:])]
    ground_by_day, ink_by_day, ground_by_night, ink_by_night = brightness
    assert min(ground_by_day, ink_by_night) > 600
    assert max(ink_by_day, ground_by_night) < 150


def test_nothing_is_wider_than_a_phone(page: Path) -> None:
    seen, console = browse(page / "phone.html", "--window-size=800,900")
    assert console == []
    assert PHONE_PX - 20 < seen["window"] <= PHONE_PX  # the rest is a scroll bar
    assert seen["page"] <= seen["window"], seen["wide"]
    assert seen["wide"] == []


def test_the_page_prints(page: Path) -> None:
    out = page / "page.pdf"
    command = [str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", f"--print-to-pdf={out}",
               f"--user-data-dir={page / 'print'}", (page / "page.html").as_uri()]  # fmt: skip
    subprocess.run(command, capture_output=True, check=False, timeout=180)
    assert out.read_bytes().startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", out.read_bytes())) > 2
