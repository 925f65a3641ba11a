"""What the tests of the page share: node and a headless Chromium, where there is one."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from ntm_lab.viewer.bundle import bundle

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
SECONDS = 60
READY = """new Promise((done) => {
  const look = (tries) => (document.body.ariaBusy && tries ? setTimeout(look, 10, tries - 1) : done());
  look(2000);
})"""


class Engine(Protocol):
    """Runs a script after the page's modules; what it returns has to be plain."""

    def __call__(self, modules: str, script: str, **given: Any) -> Any: ...


class Browser:
    """A headless Chromium by its DevTools protocol, over a pipe."""

    def __init__(self, program: str, profile: Path) -> None:
        (theirs_in, self.send_end), (self.receive_end, theirs_out) = os.pipe(), os.pipe()

        def connect() -> None:  # the protocol is spoken on the file descriptors 3 and 4
            low, high = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(low, 3)
            os.dup2(high, 4)

        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"]
        offline = ["--proxy-server=127.0.0.1:9", "--disable-background-networking", "--disable-component-update"]
        self.process = subprocess.Popen(
            [program, *flags, *offline, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=connect,
            pass_fds=(3, 4),
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.received = b""
        self.events: list[dict[str, Any]] = []
        self.count, self.session = 0, ""

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; events that come before its answer are kept in `events`."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        os.write(
            self.send_end, json.dumps(message | ({"sessionId": self.session} if self.session else {})).encode() + b"\0"
        )
        while True:
            answer = self._receive()
            if answer.get("id") == self.count:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self.received:
            part = os.read(self.receive_end, 1 << 20)
            assert part, "the browser ended"
            self.received += part
        message, self.received = self.received.split(b"\0", 1)
        return json.loads(message)

    def open(
        self, address: str, width: int = 1600, height: int = 900, dark: bool = False, touch: bool = False
    ) -> "Browser":
        """A new tab with a page, loaded."""
        self.session = ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        theme = "dark" if dark else "light"
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        self.events.clear()
        self.ask("Page.navigate", url=address)
        self("new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', done))")
        self(READY)
        return self

    def __call__(self, expression: str) -> Any:
        """The value of an expression in the page."""
        result = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key: str, **modifiers: Any) -> None:
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, **(text if kind == "keyDown" else {}), **modifiers)

    def click(self, x: float, y: float) -> None:
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and exceptions, since the page was opened."""
        self("0")
        told = []
        for event in self.events:
            if event["method"] == "Runtime.exceptionThrown":
                told.append(str(event["params"]["exceptionDetails"]))
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in ("error", "warning"):
                told.append(event["params"]["entry"]["text"])
            if event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in ("error", "warning"):
                told.append(str(event["params"]["args"]))
        return told

    def requests(self) -> list[str]:
        """The addresses that the page asked for since it was opened, its own among them."""
        return [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]

    def close(self) -> None:
        self.session = ""
        self.process.terminate()
        self.process.wait(SECONDS)
        os.close(self.send_end)
        os.close(self.receive_end)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip(f"needs a browser on PATH: {', '.join(CHROMIUM)}")
    started = Browser(program, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="session", params=["node", "chromium"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """``engine("machine.js recording.js", "return …", given=…)``: in node, and in a page in Chromium."""
    if request.param == "node" and not shutil.which("node"):
        pytest.skip("needs node on PATH")
    page = request.getfixturevalue("browser") if request.param == "chromium" else None
    folder = tmp_path_factory.mktemp("engine")

    def run(modules: str, script: str, **given: Any) -> Any:
        plain = "(_, value) => ArrayBuffer.isView(value) ? [...value] : value"
        names = ", ".join(given)
        body = f"{bundle(*modules.split())}\nconst run = ({{{names}}}) => {{ {script} }};\n"
        if page is None:
            (folder / "script.mjs").write_text(
                f"{body}import {{ readFileSync }} from 'node:fs';\n"
                f"process.stdout.write(JSON.stringify(run(JSON.parse(readFileSync(0))), {plain}));"
            )
            ended = subprocess.run(
                ["node", folder / "script.mjs"],
                input=json.dumps(given),
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
            assert ended.returncode == 0, ended.stderr
            return json.loads(ended.stdout)
        source = json.dumps(given).replace("<", "\\u003c")
        told = f"{body}globalThis.told = JSON.stringify(run({source}), {plain})"
        (folder / "script.html").write_text(f"<meta charset=utf-8><script type=module>{told}</script>")
        page.open((folder / "script.html").as_uri())
        assert not page.complaints(), page.complaints()
        return json.loads(page("told"))

    return run
