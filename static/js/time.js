// Times in the reader's own zone, and "3 min" that stays true. The server writes UTC, the same for everybody.

function ago(seconds) {
  if (seconds < 5) return "now";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function worded(at, style, now) {
  if (style === "ago") return ago(Math.max(0, (now - at) / 1000));
  const today = at.toDateString() === new Date(now).toDateString();
  return today ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
}

export function localise(root) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[data-as]")) {
    const at = new Date(element.dateTime);
    const text = worded(at, element.dataset.as, now);
    if (element.textContent !== text) element.textContent = text;
    if (!element.dataset.local) {
      element.title = full.format(at);
      element.dataset.local = "1";
    }
  }
}

localise(document);
setInterval(() => localise(document), 1000);
document.addEventListener("yard:changed", () => localise(document));
