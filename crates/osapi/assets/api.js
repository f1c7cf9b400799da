// Talks to the API this page came from. The token, if one is needed, lives in this module's memory only.

let token = null;
/** Whether a token is needed: then it is asked for before anything else is. */
const locked = "locked" in document.documentElement.dataset;
let asking = null;
let ask = async () => null;

/** Says how to ask for a token: `question(why)` resolves to one. */
export function onTokenNeeded(question) {
  ask = question;
}

/** An answer that says no; `message` is for people. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** One request. Asks for a token where one is needed, and tries again with it. */
export async function call(method, path, body, { signal } = {}) {
  if (locked && token === null) await newToken(null);
  const used = token;
  const headers = {};
  if (used) headers.Authorization = `Bearer ${used}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, {
    method,
    headers,
    signal,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
  });
  if (response.status === 401) {
    await newToken(used);
    return call(method, path, body, { signal });
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

export async function json(method, path, body) {
  const response = await call(method, path, body);
  return response.status === 204 ? null : response.json();
}

async function refusal(response) {
  let message = `${response.status} ${response.statusText}`;
  try {
    const problem = await response.json();
    message = problem.detail || problem.title || message;
  } catch {
    // Not JSON: the status says it.
  }
  return new Refusal(response.status, message);
}

/** Asks once, however many requests wait. */
async function newToken(refused) {
  if (token !== refused) return;
  asking ??= ask(refused ? "That token was refused." : "").finally(() => {
    asking = null;
  });
  token = await asking;
}

/** Follows a stream of Server-Sent Events until it ends: `on(event name, data)`. */
export async function follow(path, on, signal) {
  const response = await call("GET", path, undefined, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) deliver(event, on);
  }
}

function deliver(event, on) {
  let name = "message";
  const data = [];
  for (const line of event.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  if (data.length > 0) on(name, JSON.parse(data.join("\n")));
}
