// What every page has: toasts, questions before destructive actions, the menu of a row, copying, the folded menu.

const toasts = document.getElementById("toasts");
const TOAST_MS = 8000;

function toast(text, tone) {
  const box = document.createElement("div");
  box.className = `toast-line ${tone}`;
  box.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "btn-close";
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => box.remove());
  box.append(close);
  toasts.append(box);
  while (toasts.children.length > 4) toasts.firstElementChild.remove();
  setTimeout(() => box.remove(), TOAST_MS);
}

document.body.addEventListener("toast", (event) => {
  toast(event.detail.text, event.detail.tone);
  document.dispatchEvent(new CustomEvent("yard:acted"));
});

const NO_ANSWER = "The yard doesn't answer. Is it running?";

function sayRefusal(request) {
  if (request.getResponseHeader("HX-Trigger") || request.getResponseHeader("HX-Redirect")) return;
  toast(`The yard refused this (${request.status}). Reload the page and try again.`, "bad");
}

document.body.addEventListener("htmx:responseError", (event) => sayRefusal(event.detail.xhr));
document.body.addEventListener("htmx:sendError", () => toast(NO_ANSWER, "bad"));

// A push may replace who asked before the answer comes, and events of what has left the page reach nobody.
document.body.addEventListener("htmx:beforeSend", (event) => {
  const { elt, xhr } = event.detail;
  const ifGone = (tell) => () => elt.isConnected || tell();
  xhr.addEventListener("error", ifGone(() => toast(NO_ANSWER, "bad")));
  xhr.addEventListener(
    "load",
    ifGone(() => {
      const said = JSON.parse(xhr.getResponseHeader("HX-Trigger") ?? "{}").toast;
      if (said) document.body.dispatchEvent(new CustomEvent("toast", { detail: said }));
      else if (xhr.status >= 400) sayRefusal(xhr);
    }),
  );
});

// A dialog instead of the browser's own, which would stop the live view.
const dialog = document.getElementById("confirm");

function ask(question, word, goOn) {
  document.getElementById("confirm-yes").textContent = word;
  document.getElementById("confirm-text").textContent = question;
  dialog.returnValue = "no";
  dialog.onclose = () => {
    if (dialog.returnValue === "yes") goOn();
  };
  dialog.showModal();
  document.getElementById("confirm-no").focus();
}

document.body.addEventListener("htmx:confirm", (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  ask(event.detail.question, event.detail.elt.textContent.trim(), () => {
    if (event.detail.elt.isConnected) event.detail.issueRequest(true);
    else toast("This has changed meanwhile, so nothing was done. Look again.", "bad");
  });
});

// One menu for all rows, outside of what is pushed.
const menu = document.getElementById("row-menu");
const QUESTIONS = { kill: "End {} and all its processes at once? Work that isn't committed stays in its workspace." };

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-menu]");
  if (opener) openMenu(opener);
});

function openMenu(opener) {
  const verbs = opener.dataset.verbs.split(" ").filter(Boolean);
  menu.replaceChildren(...verbs.map((verb) => menuItem(opener, verb)));
  if (!verbs.length) menu.textContent = "Nothing can be done now.";
  opener.scrollIntoView({ block: "nearest" });
  menu.showPopover();
  menu.dataset.opener = opener.id;
  placeMenu();
  menu.querySelector("button")?.focus({ preventScroll: true });
}

// Beside its button, also when the page is scrolled; gone when the button is.
function placeMenu() {
  if (!menu.matches(":popover-open")) return;
  const box = document.getElementById(menu.dataset.opener)?.getBoundingClientRect();
  if (!box || box.bottom < 0 || box.top > window.innerHeight) {
    menu.hidePopover();
    return;
  }
  const top = Math.min(box.bottom + 4, window.innerHeight - menu.offsetHeight - 8);
  menu.style.top = `${Math.max(8, top)}px`;
  menu.style.left = `${Math.max(8, box.right - menu.offsetWidth)}px`;
}

function menuItem(opener, verb) {
  const { menu: base, name } = opener.dataset;
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("role", "menuitem");
  button.textContent = verb[0].toUpperCase() + verb.slice(1);
  if (verb === "kill") button.className = "danger";
  const send = () => htmx.ajax("POST", `${base}do/${verb}`, { source: "#row-menu", swap: "none" });
  button.addEventListener("click", () => {
    menu.hidePopover();
    document.getElementById(opener.id)?.focus();
    if (QUESTIONS[verb]) ask(QUESTIONS[verb].replace("{}", name), button.textContent, send);
    else send();
  });
  return button;
}

menu.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const items = Array.from(menu.querySelectorAll("button"));
  items[(items.indexOf(document.activeElement) + step + items.length) % items.length]?.focus();
});
window.addEventListener("scroll", placeMenu, { passive: true });
document.addEventListener("yard:changed", placeMenu);

// Copying: a click on a marked text, or on a button that names what to copy.
document.addEventListener("click", async (event) => {
  const source = event.target.closest("code.copy, [data-copy]");
  if (!source) return;
  try {
    await navigator.clipboard.writeText(source.dataset.copy ?? source.textContent);
    toast("Copied.", "good");
  } catch (error) {
    getSelection().selectAllChildren(source); // without the right to the clipboard: for the reader to copy
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("code.copy")) event.target.click();
});

document.getElementById("fold")?.addEventListener("click", (event) => {
  const open = document.body.classList.toggle("menu-open");
  event.currentTarget.setAttribute("aria-expanded", String(open));
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});
