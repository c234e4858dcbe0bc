// A run is stepped through by links, one page a step; with a script only the part that changes is replaced.

const PAUSE = 1200; // ms between two steps while it plays
const root = () => document.querySelector("[data-lab-run]");
let playing = 0;
let latest = 0;

async function go(address, push = true) {
  const mine = ++latest;
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  if (mine !== latest) return; // another step was asked for meanwhile
  if (!answer.ok) { location.href = address; return; }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("[data-lab-run]");
  if (!fresh || mine !== latest) return;
  const old = root();
  const key = old.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const scrolls = [...old.querySelectorAll(".timeline-scroll, .script")].map((part) => [part.scrollLeft, part.scrollTop]);
  old.replaceWith(fresh);
  [...fresh.querySelectorAll(".timeline-scroll, .script")].forEach((part, index) => { [part.scrollLeft, part.scrollTop] = scrolls[index] ?? [0, 0]; });
  if (push) history.pushState({}, "", address);
  if (key) fresh.querySelector(`[data-key="${key}"]`)?.focus({ preventScroll: true });
  dress();
}

function press(key) {
  const link = root().querySelector(`a[data-key="${key}"][href]`);
  if (link) go(link.href);
  return Boolean(link);
}

function play(wanted) {
  clearInterval(playing);
  playing = 0;
  if (wanted) playing = setInterval(() => { const link = root().querySelector("a[data-next][href]"); if (link) go(link.href); else play(false); }, PAUSE);
  dress();
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
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select, button, summary, .timeline-scroll[tabindex]:focus")) return;
  if (event.key === " " && event.target === document.body) { event.preventDefault(); return play(!playing); }
  if (!["ArrowLeft", "ArrowRight", "Home", "End", "p"].includes(event.key)) return;
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
