// Live tables. The page tells what it shows (data-live, data-cursor, data-seen on .frame); an update is a fragment of HTML made
// by the same templates. It is applied only when it disturbs nobody: not while paused by the button, while the pointer is over the
// table, while text in it is selected or focus is in it. What comes meanwhile is kept by row id and counted.
// One request is under way at a time: each second while somebody looks and something happens, up to each 5 s when idle, none while hidden.

const { tick } = await import(`./face.js${new URL(import.meta.url).search}`); // by its own version: the page has it already

const BUSY = 1000;
const IDLE = 5000;
const PATIENCE = 10000;
const QUIET = 10000; // between two summaries for screen readers

const frame = document.querySelector(".frame[data-live]");
const body = frame.querySelector("tbody[data-rows]");
const table = body?.closest(".table");
const limit = Number(table?.dataset.limit);
const bar = frame.querySelector("[data-switch]");
const button = bar?.querySelector("[data-pause]");
const state = bar?.querySelector("[data-state]");
const said = frame.querySelector("[data-said]");

let cursor = frame.dataset.cursor;
let seen = frame.dataset.seen;
let paused = false;
let pointed = false; // by something that hovers: a finger does not, and would leave its last place hovered
let away = ""; // why the last request gave nothing, in words
let pause = BUSY;
let timer = 0;
let asking = null;
let anew = false; // the waiting rows replace all others
const waiting = new Map(); // row id -> row
const fresh = new Set(); // ids among them that the table does not hold
const gone = new Set();
const parts = new Map(); // name -> element

// ---- asking

function later(delay) {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(ask, delay);
}

async function ask() {
  if (asking || document.hidden) return;
  asking = new AbortController();
  const deadline = setTimeout(() => asking.abort(), PATIENCE);
  const url = new URL(frame.dataset.live, location.href);
  if (body) url.searchParams.set("cursor", cursor);
  url.searchParams.set("seen", seen);
  const moving = body ? [...body.querySelectorAll("tr[data-moving]")].map((row) => row.id) : [];
  if (moving.length && url.searchParams.has("q")) url.searchParams.set("moving", moving.join());
  let more = false;
  try {
    const response = await fetch(url, { signal: asking.signal, cache: "no-store", redirect: "manual" });
    if ([401, 403].includes(response.status) || response.type === "opaqueredirect") throw Object.assign(new Error(button?.dataset.login), { final: true });
    if ([400, 404].includes(response.status)) reload(); // the cursor is of another history
    if (!response.ok) throw new Error(button?.dataset.away);
    away = "";
    if (response.status === 200) {
      take(new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-update]"));
      more = true;
    }
    pause = more ? BUSY : Math.min(pause * 1.4, IDLE);
  } catch (error) {
    away = error.final ? error.message : button?.dataset.away || "…";
    pause = error.final ? 12 * IDLE : Math.min(pause * 1.4, IDLE);
  } finally {
    clearTimeout(deadline);
    asking = null;
  }
  settle();
  later(pause);
}

// At most once a minute: a page that cannot be followed must not load itself for ever.
function reload() {
  if (Date.now() - Number(sessionStorage.getItem("reloaded") ?? 0) < 60 * BUSY) return;
  sessionStorage.setItem("reloaded", Date.now());
  location.reload();
}

function take(update) {
  seen = update.dataset.seen;
  for (const part of update.querySelectorAll("[data-part]")) parts.set(part.dataset.part, part);
  if (!("cursor" in update.dataset)) return;
  cursor = update.dataset.cursor;
  if ("anew" in update.dataset) {
    for (const set of [waiting, fresh, gone]) set.clear();
    anew = true;
  }
  for (const id of update.dataset.gone.split(" ").filter(Boolean)) {
    gone.add(id);
    waiting.delete(id);
    fresh.delete(id);
  }
  const oldest = !anew && body.rows.length >= limit ? body.rows[body.rows.length - 1].dataset.order : "";
  for (const row of update.querySelectorAll("tbody[data-rows] > tr")) {
    if (!document.getElementById(row.id)) {
      if (row.dataset.order < oldest) continue; // an old row that changed belongs to an older page
      fresh.add(row.id);
    }
    gone.delete(row.id);
    waiting.set(row.id, row);
  }
  const surplus = [...waiting.values()].filter((row) => fresh.has(row.id)).sort(newestFirst).slice(limit);
  for (const row of surplus) waiting.delete(row.id); // never shown, still counted
}

function newestFirst(one, other) {
  return one.dataset.order < other.dataset.order ? 1 : -1;
}

// ---- showing

function within(place, node) {
  return Boolean(node) && place.contains(node);
}

function held() {
  const selection = getSelection();
  if (pointed && table.matches(":hover")) return "held";
  if (!selection.isCollapsed && (within(table, selection.anchorNode) || within(table, selection.focusNode))) return "selected";
  const focus = document.activeElement;
  if (focus === table ? table.matches(":focus-visible") : within(table, focus)) return "focused"; // a click into it is no stay
  return "";
}

function settle() {
  for (const [name, part] of parts) {
    const place = frame.querySelector(`[data-part="${name}"]`);
    if (!place) parts.delete(name);
    else if (show(place, part)) parts.delete(name);
  }
  frame.dataset.pulse = away ? "away" : "live";
  if (!body) return;
  const why = paused ? "still" : held();
  if (!why && (waiting.size || gone.size || anew)) apply();
  if (!bar) return;
  if (!away) frame.dataset.pulse = paused ? "paused" : why ? "held" : "live";
  const count = fresh.size > limit ? `${limit}+` : fresh.size;
  bar.classList.toggle("paused", paused);
  bar.classList.toggle("held", Boolean(why) && !paused && !away);
  bar.classList.toggle("away", Boolean(away));
  say(state, away || (why ? button.dataset[why] : button.dataset.on).replace("{n}", count));
  say(button, (paused ? button.dataset.paused : button.dataset.live).replace("{n}", count));
  button.setAttribute("aria-pressed", String(paused));
}

function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

// A part of the page is replaced as a whole, but not under somebody's hands; what was opened in it stays open.
function show(place, part) {
  const busy = within(place, document.activeElement) || place.matches(":active") || place.querySelector(":popover-open");
  const risky = place.querySelector("button:not(.term, .source)") && pointed && place.matches(":hover");
  const selection = getSelection();
  if (busy || risky || (!selection.isCollapsed && within(place, selection.anchorNode))) return false;
  const open = [...place.querySelectorAll("details")].map((details) => details.open);
  place.replaceChildren(...part.cloneNode(true).childNodes);
  place.querySelectorAll("details").forEach((details, index) => { details.open = open[index] ?? details.open; });
  tick(place);
  return true;
}

function apply() {
  const anchor = firstInView();
  const before = anchor?.getBoundingClientRect().top;
  const arrived = fresh.size;
  if (anew) for (const row of [...body.rows]) if (!waiting.has(row.id)) row.remove();
  for (const id of gone) document.getElementById(id)?.remove();
  for (const [id, row] of waiting) {
    const old = document.getElementById(id);
    if (old) {
      for (const { name, value } of row.attributes) old.setAttribute(name, value);
      if (!row.hasAttribute("data-moving")) old.removeAttribute("data-moving");
      if (old.innerHTML !== row.innerHTML) old.replaceChildren(...row.childNodes);
    } else if (fresh.has(id)) {
      row.classList.add("fresh");
      body.insertBefore(row, [...body.rows].find((other) => other.dataset.order < row.dataset.order) ?? null);
    }
  }
  while (body.rows.length > limit) body.rows[body.rows.length - 1].remove();
  waiting.clear();
  fresh.clear();
  gone.clear();
  anew = false;
  table.querySelector("[data-empty]")?.toggleAttribute("hidden", body.rows.length > 0);
  tick(body);
  if (before !== undefined && anchor.isConnected) scrollBy(0, anchor.getBoundingClientRect().top - before);
  if (arrived) announce(arrived);
}

// Where the reader has scrolled past the table's head, the row at the top of the window stays where it is.
function firstInView() {
  if (body.getBoundingClientRect().top >= 0) return null;
  return [...body.rows].find((row) => row.getBoundingClientRect().bottom > 0) ?? null;
}

let unsaid = 0;
let quiet = 0;
function announce(count) {
  unsaid += count;
  if (quiet) return;
  say(said, (button?.dataset.summary ?? "{n}").replace("{n}", unsaid));
  unsaid = 0;
  quiet = setTimeout(() => { quiet = 0; if (unsaid) announce(0); }, QUIET);
}

// ---- looking

function attend(event) {
  if (event.pointerType) pointed = event.pointerType !== "touch";
  if (pause > BUSY && !away) {
    pause = BUSY;
    later(BUSY);
  }
}

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : (pause = BUSY, ask())));
for (const kind of ["pointerover", "pointermove", "keydown", "focus"]) addEventListener(kind, attend, { passive: true });
for (const kind of ["focusout", "pointerleave", "pointerup"]) table?.addEventListener(kind, () => setTimeout(settle));
for (const kind of ["pointerenter", "focusin"]) table?.addEventListener(kind, settle);
document.addEventListener("selectionchange", () => table && settle());
button?.addEventListener("click", () => {
  paused = !paused;
  settle();
});
if (bar) bar.hidden = false;
settle();
later(BUSY);
