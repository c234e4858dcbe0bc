// A run is stepped through by links, one page a step. With a script the page is made like the next one in place: what has focus keeps it,
// and the region that a screen reader listens to stays and says what is new in it.

const PAUSE = 1200; // ms between two steps while it plays
const PATIENCE = 3500; // ms until it is said that nobody answers
const AGAIN = 1000; // ms between two attempts
const root = () => document.querySelector("[data-lab-run]");
let playing = 0;
let latest = 0;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// The page at an address, asked for until it comes; null: something else was asked for meanwhile, or the browser shows what came.
async function page(address, mine) {
  for (;;) {
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE) });
      const found = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== latest) return null;
      tell("");
      if (answer.ok && found.querySelector("[data-lab-run]")) return found;
      location.href = address;
      return null;
    } catch {
      if (mine !== latest) return null;
      tell(root().querySelector("[data-unanswered]").dataset.words);
      await pause(AGAIN);
      if (mine !== latest) return null;
    }
  }
}

function tell(words) {
  const place = root().querySelector("[data-unanswered]");
  if (place.textContent !== words) place.textContent = words;
}

async function go(address, push = true) {
  const mine = ++latest;
  const fresh = await page(address, mine);
  if (!fresh) return;
  const focus = document.activeElement;
  const part = focus.closest("[data-follow]");
  document.title = fresh.title;
  for (const old of document.querySelectorAll("[data-follow]")) {
    const like = fresh.querySelector(`[data-follow="${old.dataset.follow}"]`);
    if (like) become(old, like);
  }
  if (push) history.pushState({}, "", address);
  dress();
  if (part) hand(focus);
}

// ---- in place

const NAMES = ["id", "data-key", "data-step", "data-play"];
const named = (node) => NAMES.map((name) => node.getAttribute?.(name) && `${name} ${node.getAttribute(name)}`).find(Boolean) ?? "";

function become(old, like) {
  if (old.isEqualNode(like) || old.matches("[data-play]")) return;
  for (const { name, value } of like.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!like.hasAttribute(name)) old.removeAttribute(name);
  if (old.hasAttribute("aria-live")) return old.replaceChildren(...like.childNodes); // all of it is news
  const there = [...old.childNodes];
  const wanted = [...like.childNodes].map((node) => {
    const at = there.findIndex((one) => one.nodeName === node.nodeName && named(one) === named(node));
    if (at < 0) return node;
    const [kept] = there.splice(at, 1);
    if (kept.nodeType === Node.ELEMENT_NODE) become(kept, node);
    else if (kept.data !== node.data) kept.data = node.data;
    return kept;
  });
  for (const node of there) node.remove();
  let place = old.firstChild; // what stays where it was is not moved: to move it would be to take its focus
  for (const node of wanted) {
    if (node === place) place = place.nextSibling;
    else old.insertBefore(node, place);
  }
}

// Focus stays, or goes on to what is pressed next: from what was asked to the next step, from there to what is to be predicted.
function hand(focus) {
  const ask = root().querySelector('[data-key="Enter"]');
  const next = root().querySelector("[data-next]");
  const to = focus === next && ask ? ask : focus.isConnected ? focus : next;
  if (document.activeElement !== to) to.focus({ preventScroll: true });
}

// ---- keys, clicks, and playing

function press(key) {
  const link = root().querySelector(`a[data-key="${key}"][href]`);
  if (link) go(link.href);
  return Boolean(link);
}

function play(wanted) {
  clearTimeout(playing);
  if (playing) latest += 1; // the step that is under way stays away
  playing = wanted ? setTimeout(on, PAUSE) : 0;
  tell("");
  dress();
}

async function on() {
  const turn = playing;
  const link = root().querySelector("a[data-next][href]");
  if (link) await go(link.href);
  if (playing !== turn) return; // paused, or begun anew
  if (root().querySelector("a[data-next][href]")) playing = setTimeout(on, PAUSE);
  else play(false);
}

function dress() {
  const button = root().querySelector("[data-play]");
  button.hidden = false;
  button.dataset.paused ??= button.textContent;
  button.textContent = playing ? button.dataset.playing : button.dataset.paused;
  button.setAttribute("aria-pressed", String(Boolean(playing)));
  for (const part of root().querySelectorAll(".timeline-scroll, .script")) {
    const here = part.querySelector(".here");
    if (!here) continue;
    const box = part.getBoundingClientRect();
    const at = here.getBoundingClientRect();
    if (at.left < box.left || at.right > box.right) part.scrollLeft += at.left - box.left - box.width / 2;
    if (at.top < box.top || at.bottom > box.bottom) part.scrollTop += at.top - box.top - box.height / 2;
  }
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("a[data-step][href], [data-play]");
  if (!target || !root().contains(target) || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  if (target.matches("[data-play]")) return play(!playing);
  play(false);
  go(target.getAttribute("href") ?? target.href.baseVal);
});

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select, button, summary")) return;
  if (event.key !== "Enter" && event.target.closest(".timeline-scroll[tabindex]:focus")) return; // it scrolls by them
  if (event.key === " " && event.target === document.body) { event.preventDefault(); return play(!playing); }
  if (event.key === "Enter" && event.target.closest("a")) return; // a link that has focus is what is meant
  if (!["ArrowLeft", "ArrowRight", "Home", "End", "p", "Enter"].includes(event.key)) return;
  play(false);
  if (press(event.key)) event.preventDefault();
});

addEventListener("popstate", () => { play(false); go(location.href, false); });

// A field and its bytes light up together.
function light(target, on) {
  const key = target.closest?.("[data-for]")?.dataset.for;
  if (!key) return;
  for (const part of target.closest(".bytes-panel").querySelectorAll(`[data-for="${key}"]`)) part.classList.toggle("lit", on);
}
for (const [kind, on] of [["pointerover", true], ["pointerout", false], ["focusin", true], ["focusout", false]]) document.addEventListener(kind, (event) => light(event.target, on));

dress();
