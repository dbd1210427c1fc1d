"""A page in headless Chromium with a real mouse and keyboard, over the DevTools protocol."""

import asyncio
import base64
import json
import subprocess
from pathlib import Path

import aiohttp

from tests.needs import find_chromium

KEYS = {
    "Enter": 13,
    "Escape": 27,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Home": 36,
}


class Browser:
    """One Chromium with one page; `errors` holds what its console said and `requests` what it fetched."""

    def __init__(self, profile: Path):
        self.loop = asyncio.new_event_loop()
        self.errors, self.requests, self.count = [], [], 0
        self.process = subprocess.Popen(
            [find_chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.loop.run_until_complete(self._connect(profile))

    async def _connect(self, profile):
        port_file = profile / "DevToolsActivePort"
        for _ in range(300):
            if port_file.exists() and port_file.read_text().count("\n"):
                break
            await asyncio.sleep(0.1)
        port = port_file.read_text().split()[0]
        self.session = aiohttp.ClientSession()
        async with self.session.get(f"http://127.0.0.1:{port}/json/list") as told:
            pages = json.loads(await told.text())
        address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        self.socket = await self.session.ws_connect(address, max_msg_size=0)
        for domain in ("Page", "Runtime", "Log", "Network", "Performance"):
            await self._send(f"{domain}.enable")

    async def _next(self):
        message = await asyncio.wait_for(self.socket.receive(), 60)
        told = json.loads(message.data)
        method, params = told.get("method"), told.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.errors.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.errors.append(json.dumps(params["args"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        return told

    async def _send(self, method, **params):
        self.count += 1
        number = self.count
        await self.socket.send_json({"id": number, "method": method, "params": params})
        while True:
            told = await self._next()
            if told.get("id") == number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                return told["result"]

    async def _wait(self, method):
        while (await self._next()).get("method") != method:
            pass

    def send(self, method, **params):
        return self.loop.run_until_complete(self._send(method, **params))

    def open(self, path, width=1280, height=900, dark=False):
        self.errors.clear()
        self.requests.clear()
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send(
            "Emulation.setEmulatedMedia",
            features=[scheme, {"name": "prefers-reduced-motion", "value": "reduce"}],
        )
        self.send("Page.navigate", url=Path(path).resolve().as_uri())
        self.loop.run_until_complete(self._wait("Page.loadEventFired"))
        self.settle()

    def run(self, code):
        told = self.send("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def settle(self):
        self.run(
            "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(r))))"
        )

    def mouse(self, kind, x, y, **more):
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", buttons=1, clickCount=1)
        self.settle()

    def key(self, name, modifiers=0):
        for kind in ("keyDown", "keyUp"):
            text = {"text": name} if len(name) == 1 and kind == "keyDown" else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=name, windowsVirtualKeyCode=KEYS.get(name, ord(name[0])),
                      modifiers=modifiers, **text)  # fmt: skip
        self.settle()

    def type(self, text):
        self.send("Input.insertText", text=text)
        self.settle()

    def shot(self, path):
        told = self.send("Page.captureScreenshot", format="png")
        Path(path).write_bytes(base64.b64decode(told["data"]))

    def close(self):
        async def leave():
            await self.socket.close()
            await self.session.close()

        self.loop.run_until_complete(leave())
        self.process.terminate()
        self.process.wait(20)
        self.loop.close()
