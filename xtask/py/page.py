"""Drives a headless Chromium. One line of JSON in, one out; see the functions named do_*."""

import json
import os
import sys
import time
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 45_000


class Driver:
    def __init__(self, playwright):
        path = os.environ["CHROMIUM"]
        self.browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        self.page = None

    def do_open(self, url, width, height, scheme):
        """Opens a page in a fresh context; what it logs and requests is collected."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        context.set_default_timeout(PATIENCE)
        self.page = context.new_page()
        self.trouble = []
        self.hosts = set()
        self.page.on("console", self.said)
        self.page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        self.page.on("request", lambda asked: self.hosts.add(urlsplit(asked.url).netloc))
        answer = self.page.goto(url)
        return {"status": answer.status}

    def said(self, message):
        if message.type in ("error", "warning"):
            self.trouble.append(f"{message.type}: {message.text} {message.location}")

    def do_seen(self):
        """What the page complained of, and the hosts it sent requests to, since it was opened."""
        return {"trouble": self.trouble, "hosts": sorted(self.hosts)}

    def do_wait(self, until):
        """Waits until an expression of JavaScript is true. Asked from here: a strict policy forbids
        the page to evaluate text, which is how the library would wait."""
        deadline = time.monotonic() + PATIENCE / 1000
        why = "not in time"
        while time.monotonic() < deadline:
            try:
                if self.page.evaluate(f"Boolean({until})"):
                    return {}
            except Error as error:
                # A page that is just being loaded anew cannot be asked.
                why = str(error)
            self.page.wait_for_timeout(50)
        return {"error": why}

    def do_evaluate(self, script):
        return {"value": self.page.evaluate(script)}

    def do_click(self, selector):
        self.page.click(selector)
        return {}

    def do_fill(self, selector, text):
        self.page.fill(selector, text)
        return {}

    def do_select(self, selector, option):
        self.page.select_option(selector, option)
        return {}

    def do_press(self, key):
        self.page.keyboard.press(key)
        return {}

    def do_screenshot(self, path, whole):
        self.page.screenshot(path=path, full_page=whole)
        return {}

    def do_quit(self):
        self.browser.close()
        return {}

    def do_axe(self):
        """The accessibility faults that axe finds, as `impact rule: where`."""
        found = Axe().run(self.page).response["violations"]
        return {
            "faults": [
                f"{fault['impact']} {fault['id']}: {node['target']} {node['html'][:200]}"
                for fault in found
                for node in fault["nodes"]
            ]
        }


with sync_playwright() as playwright:
    driver = Driver(playwright)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(driver, "do_" + request.pop("do"))(**request)
        except Error as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
