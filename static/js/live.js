// Keeps the page true: a websocket pushes what changed, and where there is none the page polls. Says honestly which.

const POLL_MS = 5000;
const GRACE_MS = 3000; // without a connection before polling starts
const SIGNED_OUT = 4401;
const LIBRARY_RETRIES = [1006, 1011, 1012, 1013]; // closes after which htmx-ext-ws connects again by itself
const REFUSED = 4400; // and above: connecting again at once would end the same way
const REFUSED_RETRY_MS = 30000;
const HIDDEN_MS = 30000;
const KEPT_PUSHES = 1000;

const yard = (window.swarmyard = window.swarmyard || {});
yard.pushes = [];

const live = document.getElementById("live");
const word = document.getElementById("live-word");
const age = document.getElementById("live-age");
const pauseButton = document.getElementById("pause-view");

let socket = null; // the extension's handle while connected
let paused = false;
let lastSeen = null; // {at: performance.now(), lag: ms that it was old already}
let lostAt = performance.now();
let signedOut = false;

function show(state, text) {
  if (live.dataset.state === state && word.textContent === text) return;
  live.dataset.state = state;
  word.textContent = text;
}

function addresses() {
  return Array.from(document.querySelectorAll("[data-region]"), (element) => element.dataset.region);
}

function tell(message) {
  if (socket) socket.sendImmediately(JSON.stringify(message));
}

// Rows change each second: they are changed in place, so that a click, the focus or selected text survives it.
const inPlace = {
  morphStyle: "outerHTML",
  callbacks: {
    // A time that shows local time already stays as it is.
    beforeNodeMorphed: (old, fresh) => !(old.nodeName === "TIME" && old.dateTime === fresh.dateTime),
    // What the reader folded or unfolded stays so.
    beforeAttributeUpdated: (name, element) => !(name === "open" && element.nodeName === "DETAILS"),
  },
};

function change(fresh) {
  const target = document.getElementById(fresh.id);
  if (!target) return; // the page has changed meanwhile; it is caught up with the next tick
  const hasDoors = fresh.querySelector("[hx-post],[hx-get]") !== null;
  for (const node of Idiomorph.morph(target, fresh, inPlace)) {
    if (hasDoors) htmx.process(node);
  }
}

function elementsOf(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return Array.from(holder.content.children).flatMap((element) =>
    element.matches("table[data-rows]") ? Array.from(element.rows) : [element],
  );
}

function received() {
  const pulse = document.getElementById("pulse").dataset;
  if (!pulse.frame) return;
  tell({ ack: Number(pulse.frame) });
  lostAt = null;
  const push = { tick: Number(pulse.tick), tickAt: Number(pulse.tickAt), seenAt: Date.now() / 1000 };
  lastSeen = { at: performance.now(), lag: (Number(pulse.sentAt) - push.tickAt) * 1000 };
  yard.pushes.push(push);
  if (yard.pushes.length > KEPT_PUSHES) yard.pushes.shift();
  document.dispatchEvent(new CustomEvent("yard:changed"));
  refreshState();
}

document.body.addEventListener("htmx:wsOpen", (event) => {
  socket = event.detail.socketWrapper;
  tell({ show: addresses() });
  if (paused) tell({ pause: true });
});

// The library keeps the connection; what comes in is changed in place here, which it can't do.
document.body.addEventListener("htmx:wsBeforeMessage", (event) => {
  event.preventDefault();
  elementsOf(event.detail.message).forEach(change);
  received();
});

document.body.addEventListener("htmx:wsClose", (event) => {
  const handle = event.detail.socketWrapper;
  const code = event.detail.event.code;
  socket = null;
  if (lostAt === null) lostAt = performance.now();
  if (code === SIGNED_OUT) {
    signedOut = true;
  } else if (!LIBRARY_RETRIES.includes(code)) {
    setTimeout(() => handle.reconnect(), (code >= REFUSED ? REFUSED_RETRY_MS : 1000) + Math.random() * 2000);
  }
  refreshState();
});

function refreshState() {
  if (signedOut) {
    show("off", "signed out, please sign in again");
  } else if (paused) {
    show("paused", "paused");
  } else if (socket && lostAt === null) {
    show("live", "live");
  } else if (lostAt !== null && performance.now() - lostAt > GRACE_MS) {
    show("polling", "polling");
  } else {
    show("reconnecting", lastSeen ? "reconnecting" : "connecting");
  }
  sayAge();
}

function sayAge() {
  if (!lastSeen || signedOut) {
    age.textContent = "";
    return;
  }
  const seconds = (performance.now() - lastSeen.at + lastSeen.lag) / 1000;
  age.textContent = `, ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s ago`;
}

async function poll() {
  if (live.dataset.state !== "polling" || document.hidden) return;
  const targets = Array.from(document.querySelectorAll("[data-region]"));
  const done = await Promise.allSettled(targets.map(refetch));
  if (done.some((one) => one.value)) {
    lastSeen = { at: performance.now(), lag: 0 };
    document.dispatchEvent(new CustomEvent("yard:changed"));
  }
}

async function refetch(element) {
  const [name, query] = element.dataset.region.split("?");
  const response = await fetch(`/live/${name}/${query ? `?${query}` : ""}`, { headers: { "HX-Request": "true" } });
  if (response.status === 401) signedOut = true;
  if (!response.ok) return false;
  elementsOf(await response.text()).forEach(change);
  return true;
}

// A page that nobody sees for a while asks for nothing, and is caught up when it is seen again.
let hiddenTimer = null;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiddenTimer);
  if (document.hidden) hiddenTimer = setTimeout(() => tell({ pause: true }), HIDDEN_MS);
  else if (!paused) tell({ pause: false });
});

pauseButton?.addEventListener("click", () => {
  paused = !paused;
  pauseButton.setAttribute("aria-pressed", String(paused));
  pauseButton.textContent = paused ? "Go on" : "Pause view";
  tell({ pause: paused });
  refreshState();
});

if (live) {
  setInterval(refreshState, 200);
  setInterval(poll, POLL_MS);
}
document.addEventListener("yard:changed", () => {
  if (document.querySelector("[data-reload]")) location.reload(); // the page is another one by now
});
// What an action changed is pushed within moments; a page that polls looks at once.
document.addEventListener("yard:acted", () => setTimeout(poll, 300));
