// Starts the page: theme, token, the stream of readings, and what each reading brings up to date.

import { follow, onTokenNeeded } from "./api.js";
import { redraw } from "./charts.js";
import { byId, seconds } from "./dom.js";
import * as job from "./job.js";
import * as jobs from "./jobs.js";
import * as overview from "./overview.js";

const LONGEST_PAUSE = 15_000;

let listed = "";

function say(text) {
  byId("note").textContent = text;
  byId("note").hidden = !text;
}

function setState(name, text) {
  byId("state").className = `state ${name}`;
  if (byId("state").textContent !== text) byId("state").textContent = text;
}

function show() {
  const now = overview.latest();
  setState(now.trouble ? "degraded" : "ok", now.trouble ?? "ok");
  byId("about").textContent = `version ${now.version}, up ${seconds(now.uptime_seconds)}`;
  overview.draw();
  jobs.offer(now.operations, now.workers ?? []);
  // The list is read again only when something happened to it.
  const happened = JSON.stringify(now.jobs ? { ...now.jobs, oldest_waiting_seconds: 0 } : null);
  if (happened !== listed && !document.hidden) {
    listed = happened;
    jobs.refresh();
  }
}

/** Follows the readings; when the stream ends, tries again, ever more slowly. */
async function live() {
  let pause = 500;
  for (;;) {
    let scheduled = false;
    try {
      await follow("/live", (name, reading) => {
        if (name !== "reading") return;
        pause = 500;
        overview.add(reading);
        // Many come at once at first; draw when they are all in.
        if (scheduled) return;
        scheduled = true;
        setTimeout(() => {
          scheduled = false;
          show();
        });
      });
      setState("away", "reconnecting");
    } catch (error) {
      setState("away", error.status === 403 ? "this token does not allow health:read; reload to give another" : "the server is away");
    }
    await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random())));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const apply = () => {
    document.documentElement.dataset.theme = (chosen ?? dark.matches) ? "dark" : "light";
    redraw();
  };
  dark.addEventListener("change", apply);
  byId("theme").addEventListener("click", () => {
    chosen = !(chosen ?? dark.matches);
    apply();
  });
  apply();
}

function askForToken(why) {
  const dialog = byId("token");
  byId("token-said").textContent = why;
  byId("token-value").value = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    byId("token-form").onsubmit = (event) => {
      event.preventDefault();
      const value = byId("token-value").value.trim();
      byId("token-value").value = "";
      dialog.close();
      resolve(value);
    };
  });
}

// Nothing works without a token where one is needed, so the question stays.
byId("token").addEventListener("cancel", (event) => event.preventDefault());
for (const button of document.querySelectorAll("dialog .close")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
// Nobody sees the list of a page in the background, so it is not read until somebody does.
document.addEventListener("visibilitychange", () => overview.latest() && show());
onTokenNeeded(askForToken);
theme();
job.start(jobs.refresh);
overview.start(say);
jobs.start(say);
live();
