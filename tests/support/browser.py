"""A real browser without a window, for tests of what a reader sees."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import time

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium or Chrome (Debian: apt install chromium)"
)

MEASURE = """
<script>
addEventListener("load", () => {
  const isClosed = [...document.querySelectorAll("details")].filter(e => !e.open);
  isClosed.forEach(e => { e.open = true; });
  const style = getComputedStyle(document.body);
  const wide = [...document.querySelectorAll("main *")].filter(e => {
    if (e.closest(".scroll, .maps figure, svg, .hidden")) return false;
    return e.getBoundingClientRect().right > innerWidth + 1;
  });
  const told = {
    width: innerWidth,
    scrollWidth: document.documentElement.scrollWidth,
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    ink: style.color, page: style.backgroundColor,
    verdict: document.querySelector(".answer, .verdict").getBoundingClientRect().top,
    charts: [...document.querySelectorAll(".panels svg")].map(e => e.clientWidth),
    outside: wide.map(e => e.outerHTML.slice(0, 80)),
  };
  const out = document.createElement("pre");
  out.id = "told"; out.textContent = JSON.stringify(told);
  document.body.append(out);
});
</script>
"""


def run_chromium(tmp_path, url, *options):
    """What Chromium writes to its output."""
    return subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            f"--user-data-dir={tmp_path / 'browser'}",
            *options,
            url,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "HOME": str(tmp_path)},
    ).stdout


def look_at(tmp_path, page, *, width, is_dark):
    """How a page of ours turns out: widths, colours, what sticks out."""
    copy = tmp_path / "page.html"
    copy.write_text(page.read_text().replace("</body>", f"{MEASURE}</body>"))
    scheme = 0 if is_dark else 1  # Blink's numbers for dark and light
    dom = run_chromium(
        tmp_path,
        copy.as_uri(),
        "--dump-dom",
        "--virtual-time-budget=2000",
        f"--window-size={width},900",
        f"--blink-settings=preferredColorScheme={scheme}",
    )
    return json.loads(re.search(r'<pre id="told">(.*?)</pre>', dom, re.S)[1])


def ask(tmp_path, page, script):
    """What a script finds on a page of ours, once the page's own scripts have run.

    Args:
        tmp_path: for the browser's files.
        page: path of the page.
        script: the body of a JavaScript function that returns plain data.
    """
    asked = """
<script>
addEventListener("load", () => setTimeout(() => {
  const out = document.createElement("pre");
  out.id = "told";
  try {
    out.textContent = JSON.stringify((() => { SCRIPT })());
  } catch (error) {
    out.textContent = JSON.stringify(String(error));
  }
  document.body.append(out);
}, 100));
</script>
""".replace("SCRIPT", script)
    copy = tmp_path / "asked.html"
    copy.write_text(page.read_text().replace("</body>", f"{asked}</body>"))
    dom = run_chromium(
        tmp_path, copy.as_uri(), "--dump-dom", "--virtual-time-budget=2000"
    )
    found = re.search(r'<pre id="told">(.*?)</pre>', dom, re.S)[1]
    return json.loads(html.unescape(found))


class Browser:
    """Chromium, driven over its DevTools protocol: for pages that draw themselves.

    Source: https://chromedevtools.github.io/devtools-protocol/ (messages end in NUL on
    file descriptors 3 and 4 with ``--remote-debugging-pipe``).
    """

    def __init__(self, directory):
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import os, sys; os.dup2({to_read}, 103); os.dup2({to_write}, 4); "
                "os.dup2(103, 3); os.execv(sys.argv[1], sys.argv[1:])",
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--remote-debugging-pipe",
                f"--user-data-dir={directory}",
            ],
            pass_fds=(to_read, to_write),
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(directory)},
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer = b""
        self._last_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._write)
        os.close(self._read)
        self._process.kill()
        self._process.wait(30)

    def text_of(self, url, wanted, seconds=60):
        """All text of a page, inside shadow roots too, once it holds what is wanted."""
        target = self._call("Target.createTarget", url=url)["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)
        end = time.monotonic() + seconds
        while True:
            answer = self._call(
                "Runtime.evaluate", session["sessionId"], expression=TEXT_INSIDE
            )
            text = answer["result"].get("value", "")
            if all(word in text for word in wanted) or time.monotonic() > end:
                return text
            time.sleep(0.5)

    def _call(self, method, session=None, **params):
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._buffer:
                received = os.read(self._read, 2**16)
                if not received:
                    raise EOFError("Chromium has ended")
                self._buffer += received
            line, _, self._buffer = self._buffer.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self._last_id:
                return answer["result"]


TEXT_INSIDE = """
(function text(node) {
  let found = node.shadowRoot ? text(node.shadowRoot) : "";
  for (const child of node.childNodes)
    found += child.nodeType === Node.TEXT_NODE ? child.data + " " : text(child);
  return found;
})(document)
"""
