// The live tail of an agent's output: follows, loads what is earlier, searches. Text only, and never too much of it.

const POLL_MS = 1000;
const MAX_CHARACTERS = 600000; // kept in the page; what is older is loaded again on demand

const log = document.getElementById("log");
const box = document.getElementById("log-box");
const lines = document.getElementById("log-lines");
const partial = document.getElementById("log-partial");
const none = document.getElementById("log-none");
const earlier = document.getElementById("log-earlier");
const followButton = document.getElementById("log-follow");
const found = document.getElementById("log-found");
const searchText = document.getElementById("log-text");

let start = Number(log.dataset.start);
let from = Number(log.dataset.from);
let to = Number(log.dataset.to);
let following = true;
let busy = false;
let live = "live" in log.dataset;

async function fetched(address, parameters) {
  const query = new URLSearchParams({ ...parameters, start });
  const response = await fetch(`${address}?${query}`, { headers: { "HX-Request": "true" } });
  return response.ok ? response.json() : null;
}

function toEnd() {
  if (following) box.scrollTop = box.scrollHeight;
}

// Each node of the list remembers how many bytes of output it stands for, which its text can't tell.
function append(text, bytes) {
  if (!text && !bytes) return;
  const node = document.createTextNode(text);
  node.bytes = bytes;
  lines.append(node);
  if (following) trim();
}

function trim() {
  while (lines.textContent.length > MAX_CHARACTERS && lines.childNodes.length > 1) {
    from += lines.firstChild.bytes;
    lines.firstChild.remove();
    earlier.hidden = false;
  }
}

function take(piece) {
  if (piece.skipped) append(`\n… ${piece.skipped} bytes are gone: the log is capped …\n`, piece.skipped);
  append(piece.text, piece.end - piece.start);
  to = piece.end;
  if (partial.textContent !== piece.partial) partial.textContent = piece.partial;
  none.hidden = Boolean(lines.textContent || piece.partial);
  live = piece.live;
  toEnd();
}

async function poll() {
  if (busy || document.hidden || !live) return;
  busy = true;
  try {
    let piece = await fetched(log.dataset.address, { after: to });
    for (let more = 0; piece && more < 10; more += 1) {
      if (piece.epoch > start) return newStart(piece);
      const before = to;
      take(piece);
      if (to === before || !following) break;
      piece = await fetched(log.dataset.address, { after: to });
    }
  } catch (error) {
    // The yard is away; the live state says so.
  } finally {
    busy = false;
  }
}

// It was started anew: what follows is another log.
function newStart(piece) {
  start = piece.epoch;
  from = to = 0;
  lines.replaceChildren();
  append(`— start ${piece.epoch} —\n`, 0);
  partial.textContent = "";
  earlier.hidden = true;
}

async function loadEarlier() {
  const piece = await fetched(log.dataset.address, { before: from });
  if (!piece) return;
  const height = box.scrollHeight;
  const node = document.createTextNode(piece.text);
  node.bytes = from - piece.start;
  lines.prepend(node);
  from = piece.start;
  earlier.hidden = from <= piece.first;
  follow(false);
  box.scrollTop += box.scrollHeight - height;
}

function follow(wanted) {
  following = wanted;
  followButton.setAttribute("aria-pressed", String(wanted));
  followButton.textContent = wanted ? "Following" : "Follow";
  toEnd();
}

async function search(event) {
  event.preventDefault();
  const text = searchText.value;
  found.hidden = !text;
  box.hidden = Boolean(text);
  if (!text) return;
  const answer = await fetched(log.dataset.search, { text });
  const title = document.createElement("p");
  const matches = answer ? answer.matches : [];
  title.textContent = matches.length ? `${matches.length} line${matches.length === 1 ? "" : "s"}, the newest last` : "No line holds this.";
  const list = document.createElement("pre");
  for (const match of matches) list.append(...marked(match.line, text), "\n");
  found.replaceChildren(title, list);
}

function marked(line, text) {
  const at = line.indexOf(text);
  if (at < 0) return [line];
  const mark = document.createElement("mark");
  mark.textContent = text;
  return [line.slice(0, at), mark, line.slice(at + text.length)];
}

followButton.addEventListener("click", () => follow(!following));
earlier.addEventListener("click", loadEarlier);
document.getElementById("log-search").addEventListener("submit", search);
searchText.addEventListener("search", search);
let lastTop = 0;
box.addEventListener("scroll", () => {
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
  if (!atEnd && following && box.scrollTop < lastTop) follow(false);
  if (atEnd && !following) follow(true);
  lastTop = box.scrollTop;
});

if (lines.firstChild) lines.firstChild.bytes = to - from;
toEnd();
setInterval(poll, POLL_MS);
// An ended agent may be started again: the page learns of it with its other changes.
document.addEventListener("yard:changed", () => {
  if (!live && document.querySelector("#do-pause, #do-stop")) live = true;
});
