// Pages that follow what happens. The page tells what it shows (data-live, data-cursor, data-seen on .frame); an update is a fragment of HTML made
// by the same templates. Its rows are applied only when that disturbs nobody: not while paused by the button, while the pointer is over the
// table, while text in it is selected, focus is in it or its head is scrolled away. What comes meanwhile is kept by row id and counted.
// What changes is pushed where the page has an address for that (data-push, push.js); elsewhere, and while nobody pushes, the page asks.
// One request is under way at a time: each second while somebody looks and something happens, up to each 3 s when idle, none while hidden. Where
// many ask, the server says after how many seconds each shall ask again.
// Who has heard nothing for 4.5 s says so.

const { compare, now, tick } = await import(`./face.js${new URL(import.meta.url).search}`); // by its own version: the page has it already

const BUSY = 1000;
const IDLE = 3000;
const DOUBT = 4500; // more than an idle pause and a slow answer, and less than the 5 s within which a dead server is told
const PATIENCE = 10000;
const MOST_TOLD = 500; // updates that wait for an answer which never meets them
const FRAME = 80; // at least between two changes of the page, however many updates come: each lays out and paints the whole table
const REST = 18; // times of what a change took, for which the next one waits: so a busy table takes little of a core, on a slow machine, too
const LATEST = 250; // but no longer
const CALM = 8; // rows within 1.6 s whose arrival is seen: a tint on each of a hundred rows a second says nothing, and took half of what the tab did
const QUIET = 10000; // between two summaries for screen readers

const frame = document.querySelector(".frame[data-live]");
const body = "cursor" in frame.dataset ? frame.querySelector("tbody[data-rows]") : null; // an older page of a table is not followed
const table = body?.closest(".table");
const limit = Number(table?.dataset.limit);
const bar = body && frame.querySelector("[data-switch]");
const button = bar?.querySelector("[data-pause]");
const state = bar?.querySelector("[data-state]");
const up = bar?.querySelector("[data-up]");
const said = frame.querySelector("[data-said]");
const old = frame.querySelector("[data-old]");

let cursor = frame.dataset.cursor;
let at = frame.dataset.at ?? ""; // the same, as positions that can be compared
let joined = false; // what changes is pushed, and nobody asks
let met = false; // all that was there when the connection began has been told
const told = []; // what was pushed and is not taken yet
let seen = frame.dataset.seen;
let paused = ""; // since when, as it is told
let pointed = false; // by something that hovers: a finger does not, and would leave its last place hovered
let away = ""; // why the last request gave nothing, in words
let refusing = false; // it was answered all the same
let heard = now(); // when the last answer came
let pause = BUSY;
let least = 0; // as long as the server wants it to be
let timer = 0;
let doubt = 0;
let asking = null;
let anew = false; // the waiting rows replace all others
let unknown = false; // how many new ones there are
let dropped = 0; // new ones that are never shown: a page has no room for them
let floor = ""; // the order below which they are
const waiting = new Map(); // row id -> row
const fresh = new Set(); // ids among them that the table does not hold
const gone = new Set();
const parts = new Map(); // name -> element

// ---- asking

function later(delay) {
  clearTimeout(timer);
  if (!document.hidden && !joined) timer = setTimeout(ask, delay);
}

let due = 0;
function watch() {
  due = performance.now() + DOUBT + least;
  if (document.hidden) clearTimeout(doubt);
  if (document.hidden || !doubt) doubt = document.hidden ? 0 : setTimeout(doubted, DOUBT + least);
}

function doubted() {
  const left = due - performance.now();
  doubt = left > 0 ? setTimeout(doubted, left) : 0; // one timer, and not another one for each word
  if (doubt) return;
  if (joined) return pushed.lose("gone"); // it stands still, perhaps: whoever is asked will tell
  away ||= old.dataset.away;
  settle();
}

async function ask() {
  if (asking || document.hidden || joined) return;
  asking = new AbortController();
  const deadline = setTimeout(() => asking.abort(), PATIENCE);
  const url = new URL(frame.dataset.live, location.href);
  if (body) url.searchParams.set("cursor", cursor);
  url.searchParams.set("seen", seen);
  const moving = body ? [...body.querySelectorAll("tr[data-moving]")].map((row) => row.id) : [];
  if (moving.length && url.searchParams.has("q")) url.searchParams.set("moving", moving.join());
  if (pushed?.wants) url.searchParams.set("push", "1");
  const begin = Date.now();
  let more = false;
  try {
    const response = await fetch(url, { signal: asking.signal, cache: "no-store", redirect: "manual" });
    const end = Date.now();
    if ([401, 403].includes(response.status) || response.type === "opaqueredirect") throw Object.assign(new Error(old.dataset.login), { final: true });
    if ([400, 404].includes(response.status)) reload(); // the cursor is of another history
    least = spread(1000 * Number(response.headers.get("Pairscope-Again")));
    if ([429, 503, 504].includes(response.status) && !response.headers.get("Content-Type")?.startsWith("text/html")) throw busy(Number(response.headers.get("Retry-After")) || 1);
    const found = response.status === 204 ? null : new DOMParser().parseFromString(await response.text(), "text/html");
    if (!response.ok) throw refused(found);
    compare(Number(response.headers.get("Pairscope-Clock")), begin, end);
    away = "";
    refusing = false;
    heard = now();
    watch();
    const ticket = response.headers.get("Pairscope-Push");
    if (ticket && pushed?.wants) pushed.use(ticket);
    if (performance.now() > 1000 * frame.dataset.again) location.reload(); // what could not be shown is asked for again, of somebody who is there
    if (found) {
      take(found.querySelector("[data-update]"));
      more = true;
    }
    pause = Math.max(least, more ? BUSY : Math.min(pause * 1.4, IDLE));
  } catch (error) {
    away = error.told ?? (error.final ? error.message : old.dataset.away);
    refusing = Boolean(error.told);
    pause = error.again ?? (error.final ? 20 * IDLE : Math.min(pause * 1.4, IDLE));
  } finally {
    clearTimeout(deadline);
    asking = null;
  }
  drain(false); // where there is a gap still, it asks again after a pause
  settle();
  later(pause);
}

// A server that has no time now says when it will have.
function busy(seconds) {
  return Object.assign(new Error("busy"), { told: old.dataset.later.replace("{n}", seconds), again: 1000 * seconds * (1 + Math.random() / 4) });
}

// Not all pages at once.
function spread(delay) {
  return delay * (0.8 + 0.4 * Math.random());
}

// ---- being told

const pushed = "push" in frame.dataset ? new (await import(`./push.js${new URL(import.meta.url).search}`)).Pushed(frame.dataset.push, "ticket" in frame.dataset, {
  told(html, identity) {
    told.push({ html, identity, update: null });
    hear();
  },
  joined(fed, identity) {
    met = true;
    feed(fed);
    told.push({ html: "", identity, update: null });
    hear();
  },
  beat: hear,
  refused(html) {
    const error = refused(new DOMParser().parseFromString(html, "text/html"));
    hear(true);
    away = error.told ?? old.dataset.away;
    refusing = Boolean(error.told);
    settle();
  },
  lost(why) {
    joined = met = false;
    told.length = 0;
    feed("");
    later(why === "restart" ? DOUBT : BUSY * Math.random()); // one that is started anew is back in a moment
  },
}) : null;

function hear(refused) {
  if (joined || refused === true) watch();
  if (joined && refused !== true) {
    away = "";
    refusing = false;
    heard = now();
  }
  soon();
}

// Takes what was told as far as it meets what is here: nothing is missing between, and nothing comes twice. Where it does not meet, the page asks.
// All that came since the last change of the page is parsed in one go, and as elements of this document: those of another one, as a DOMParser
// makes it, have to be adopted one by one.
function drain(atOnce = true) {
  if (asking || !pushed) return;
  const unread = told.filter((each) => each.html);
  if (unread.length) {
    const place = document.createElement("div");
    place.innerHTML = unread.map((each) => `<div>${each.html}</div>`).join("");
    unread.forEach((each, index) => Object.assign(each, { html: "", update: place.children[index].firstElementChild }));
  }
  while (told.length) {
    const { update, identity } = told[0];
    const [from, to] = identity.split("/");
    const rows = Boolean(body) && Boolean(identity);
    const known = rows && reaches(at, to);
    if (rows && !known && !(update && "anew" in update.dataset) && !reaches(at, from)) break;
    told.shift();
    if (update) take(update, !known);
  }
  const gap = told.length > 0;
  if (gap || !met) joined = false;
  else if (!joined) {
    joined = true;
    clearTimeout(timer);
    hear();
  }
  if (told.length > MOST_TOLD) pushed.lose("gone");
  else if (gap && met && atOnce) ask();
}

// Whether what reaches up to `one` holds all that reaches up to `other`.
function reaches(one, other) {
  const [here, there] = [one, other].map((text) => new Map(text.split(",").filter(Boolean).map((place) => place.split(":").map(Number))));
  return [...there].every(([node, position]) => (here.get(node) ?? 0) >= position);
}

// Which descriptor of which process feeds this page.
function feed(fed) {
  const place = frame.querySelector("[data-fed]");
  const [pid, fd, apache] = fed.split(" ");
  place.hidden = !fed;
  say(place, fed ? place.dataset.words.replace("{pid}", pid).replace("{fd}", fd).replace("{apache}", apache) : "");
}

// A server that answers with an error says which, and how it stands itself.
function refused(found) {
  const strip = found.querySelector('[data-part="strip"]');
  if (strip) {
    parts.set("strip", strip);
    seen = seen.replace(/strip:\d+/, "strip:"); // another one than the server knows of is seen
  }
  return Object.assign(new Error("refused"), { told: found.querySelector("h1")?.textContent.replace(/\.$/, "") });
}

// At most once a minute: a page that cannot be followed must not load itself for ever.
function reload() {
  if (Date.now() - Number(sessionStorage.getItem("reloaded") ?? 0) < 60 * BUSY) return;
  sessionStorage.setItem("reloaded", Date.now());
  location.reload();
}

function take(update, rows = true) {
  seen = update.dataset.seen ?? seen;
  for (const part of update.querySelectorAll("[data-part]")) parts.set(part.dataset.part, part);
  if (!body || !rows || !("cursor" in update.dataset)) return;
  cursor = update.dataset.cursor;
  at = update.dataset.at;
  if ("anew" in update.dataset) {
    forget();
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
      if (row.dataset.order < oldest || row.dataset.order < floor) continue; // it belongs to an older page; or it was counted already
      fresh.add(row.id);
    }
    gone.delete(row.id);
    waiting.set(row.id, row);
  }
  if ("anew" in update.dataset) unknown = fresh.size >= limit; // it ends where the page is full: what came before is not in it
  const newest = [...waiting.values()].filter((row) => fresh.has(row.id)).sort(newestFirst);
  for (const row of newest.slice(limit)) {
    waiting.delete(row.id);
    fresh.delete(row.id);
    dropped += 1;
    floor = newest[limit - 1].dataset.order;
  }
}

function forget() {
  for (const set of [waiting, fresh, gone]) set.clear();
  anew = unknown = false;
  dropped = 0;
  floor = "";
}

function newestFirst(one, other) {
  return one.dataset.order < other.dataset.order ? 1 : -1;
}

// ---- showing

function within(place, node) {
  return Boolean(node) && place.contains(node);
}

function scrolled() {
  return body.rows.length > 0 && body.getBoundingClientRect().top < 0;
}

function held() {
  const selection = getSelection();
  if (pointed && table.matches(":hover")) return "held";
  if (!selection.isCollapsed && (within(table, selection.anchorNode) || within(table, selection.focusNode))) return "selected";
  const focus = document.activeElement;
  if (focus === table ? table.matches(":focus-visible") : within(table, focus)) return "focused"; // a click into it is no stay
  return scrolled() ? "scrolled" : "";
}

// What has come is shown within a moment, all of it at once.
let settled = 0;
let settling = 0;
let rest = FRAME;
function soon() {
  settling ||= setTimeout(come, Math.max(0, settled + rest - performance.now()));
}

function come() {
  settling = 0;
  drain();
  settle();
}

// What a change takes is known when the frame that shows it is done.
function spend(begin) {
  const took = performance.now() - begin;
  requestAnimationFrame(() => {
    const frame = performance.now();
    setTimeout(() => { rest = Math.min(LATEST, Math.max(FRAME, REST * (took + performance.now() - frame))); });
  });
}

function settle() {
  clearTimeout(settling);
  settling = 0;
  settled = performance.now();
  const why = paused ? "still" : body ? held() : "";
  const before = why && table?.getBoundingClientRect().top;
  if (!paused) {
    for (const [name, part] of parts) {
      const place = frame.querySelector(`[data-part="${name}"]`);
      if (!place) parts.delete(name);
      else if (show(place, part)) parts.delete(name);
    }
  }
  const shift = why ? table.getBoundingClientRect().top - before : 0; // a part above it may be taller than it was
  if (shift) scrollBy(0, shift);
  mark(frame, "data-pulse", away ? "away" : paused ? "paused" : why ? "held" : "live");
  frame.toggleAttribute("data-refused", Boolean(away) && refusing);
  frame.toggleAttribute("data-still", Boolean(paused));
  age();
  if (!body) return;
  if (!why && (waiting.size || gone.size || anew)) {
    apply();
    spend(settled);
  }
  if (!bar) return;
  const count = unknown ? `${limit}+` : fresh.size + dropped;
  bar.classList.toggle("paused", Boolean(paused));
  bar.classList.toggle("held", Boolean(why) && !paused && !away);
  bar.classList.toggle("away", Boolean(away));
  say(state, away || (why ? button.dataset[why] : button.dataset.on).replace("{n}", count).replace("{time}", paused));
  say(button, (paused ? button.dataset.paused : button.dataset.live).replace("{n}", count));
  mark(button, "aria-pressed", String(Boolean(paused)));
  up.toggleAttribute("hidden", !why || Boolean(paused) || !count || !scrolled());
  say(up, up.dataset.words.replace("{n}", count));
}

// Whatever is set anew is styled anew, though it is the same.
function mark(place, name, value) {
  if (place.getAttribute(name) !== value) place.setAttribute(name, value);
}

function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

// What stands here while nobody answers is old: since when, is told, and the style sheet greys it.
function age() {
  const time = old.querySelector("time");
  if (away) time.dateTime = new Date(heard).toISOString();
  old.toggleAttribute("hidden", !away);
  say(old.querySelector("[data-told]"), away);
  tick(old);
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
  const arrived = fresh.size + dropped;
  if (anew) for (const row of [...body.rows]) if (!waiting.has(row.id)) row.remove();
  for (const id of gone) document.getElementById(id)?.remove();
  const added = [];
  for (const [id, row] of waiting) {
    const there = document.getElementById(id);
    if (there) {
      for (const { name, value } of row.attributes) there.setAttribute(name, value);
      if (!row.hasAttribute("data-moving")) there.removeAttribute("data-moving");
      if (!there.isEqualNode(row)) there.replaceChildren(...row.childNodes);
    } else if (fresh.has(id)) added.push(row);
  }
  let place = body.rows[0] ?? null;
  const calm = arrivals(added.length) <= CALM;
  for (const row of added.sort(newestFirst)) {
    while (place && place.dataset.order > row.dataset.order) place = place.nextElementSibling;
    row.classList.toggle("fresh", calm);
    body.insertBefore(row, place);
  }
  while (body.rows.length > limit) body.rows[body.rows.length - 1].remove();
  const more = unknown;
  forget();
  table.querySelector("[data-empty]")?.toggleAttribute("hidden", body.rows.length > 0);
  tick(body);
  if (arrived) announce(arrived, more);
}

// How many rows have come within 1.6 s, these with them.
const came = [];
function arrivals(count) {
  const at = performance.now();
  came.push(...Array(count).fill(at));
  while (came[0] < at - 1600) came.shift();
  return came.length;
}

let unsaid = 0;
let unsure = false;
let quiet = 0;
function announce(count, more) {
  unsaid += count;
  unsure ||= more;
  if (quiet) return;
  say(said, (button?.dataset.summary ?? "{n}").replace("{n}", unsure ? `${unsaid}+` : unsaid));
  unsaid = 0;
  unsure = false;
  quiet = setTimeout(() => { quiet = 0; if (unsaid) announce(0, false); }, QUIET);
}

// ---- looking

function attend(event) {
  if (event.pointerType) pointed = event.pointerType !== "touch";
  if (pause > Math.max(BUSY, least) && !away && !joined) {
    pause = Math.max(BUSY, least);
    later(pause);
  }
}

let below = false;
function moved() {
  const then = below;
  below = scrolled();
  if (below !== then) settle();
}

document.addEventListener("visibilitychange", () => {
  watch();
  if (document.hidden) {
    clearTimeout(timer);
    joined = met = false;
    told.length = 0;
    feed("");
    return pushed?.close(); // a browser has six connections to one server
  }
  pause = BUSY;
  pushed?.open();
  ask();
});
for (const kind of ["pointerover", "pointermove", "keydown", "focus"]) addEventListener(kind, attend, { passive: true });
for (const kind of ["focusout", "pointerleave", "pointerup"]) table?.addEventListener(kind, () => setTimeout(settle));
for (const kind of ["pointerenter", "focusin"]) table?.addEventListener(kind, settle);
document.addEventListener("selectionchange", () => table && settle());
if (table) for (const kind of ["scroll", "resize"]) addEventListener(kind, moved, { passive: true });
button?.addEventListener("click", () => {
  paused = paused ? "" : `${new Date(now()).toISOString().slice(11, 19)} UTC`;
  settle();
});
up?.addEventListener("click", () => {
  bar.scrollIntoView({ block: "start" });
  button.focus({ preventScroll: true }); // this one is not seen any more
  settle();
});
if (bar) bar.hidden = false;
settle();
watch();
later(BUSY);
if (!document.hidden) pushed?.open();
