// What every page does with a script, and can do without: remember the appearance, let times tick, take a dropped file.

const YEAR = 365 * 86400;

for (const form of document.querySelectorAll("[data-theme-switch]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = event.submitter.value;
    if (chosen) document.documentElement.dataset.theme = chosen;
    else delete document.documentElement.dataset.theme;
    document.cookie = `theme=${chosen}; path=${form.dataset.cookiePath}; max-age=${chosen ? YEAR : 0}; samesite=lax`;
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button === event.submitter));
  });
}

// The same words as words.relative() on the server. An age is never below 'now': where clocks differ, a row has not come from the future.
const SPANS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];
const frame = document.querySelector(".frame");
const words = { ago: frame.dataset.ago, now: frame.dataset.now };

// The server's clock against this one's, from when its answer came: this script may come seconds later than the page.
const [loading] = performance.getEntriesByType("navigation");
let ahead = Number(frame.dataset.clock) - (loading?.responseStart ? performance.timeOrigin + loading.responseStart : Date.now());

// What the server's clock said between `begin` and `end` of this one's bounds the difference from both sides.
export function compare(clock, begin, end) {
  if (clock) ahead = Math.min(Math.max(ahead, clock - end), clock - begin);
}

// The server's time, in ms since 1970.
export function now() {
  return Date.now() + ahead;
}

function relative(seconds) {
  if (seconds < 1) return words.now;
  const [, divisor, unit] = SPANS.find(([limit]) => seconds < limit);
  return words.ago.replace("{}", `${Math.floor(seconds / divisor)}\u00a0${unit}`);
}

// On a phone the pages stand in one line that scrolls: the one that is open shall be seen in it.
const line = document.querySelector(".rail nav");
const open = line?.querySelector("[aria-current]");
if (open && line.scrollWidth > line.clientWidth) line.scrollLeft = open.offsetLeft - line.offsetLeft - (line.clientWidth - open.offsetWidth) / 2;

// What is paused stands still, its ages too.
export function tick(root = frame) {
  const at = now();
  for (const time of root.querySelectorAll(frame.hasAttribute("data-still") ? "[data-old] time[data-ago]" : "time[data-ago]")) {
    const text = relative((at - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.firstChild.data = text; // a selection in the row survives
  }
}
tick();
setInterval(() => document.hidden || tick(), 1000);

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
function inWords(size) {
  let unit = 0;
  while (size >= 1023.5 && unit < UNITS.length - 1) { size /= 1024; unit += 1; }
  return `${unit && size < 9.95 ? size.toFixed(1) : Math.round(size)} ${UNITS[unit]}`;
}

for (const form of document.querySelectorAll("[data-drop]")) {
  const zone = form.querySelector("[data-dropzone]");
  const input = zone.querySelector("input");
  const chosen = zone.querySelector("[data-chosen]");
  const send = form.querySelector("button.primary");
  const show = () => {
    const file = input.files[0];
    const wrong = file && (file.size > Number(form.dataset.most)
      ? form.dataset.large.replace("{size}", inWords(file.size)).replace("{most}", inWords(Number(form.dataset.most)))
      : file.size ? "" : form.dataset.empty.replace("{name}", () => file.name));
    zone.querySelector(".invite").hidden = Boolean(file);
    say(wrong || (file ? `${file.name} · ${inWords(file.size)}` : ""), Boolean(wrong));
    if (send) send.disabled = Boolean(wrong);
  };
  const say = (text, failed) => {
    chosen.hidden = !text;
    chosen.textContent = text;
    chosen.classList.toggle("failed", failed);
  };
  form.addEventListener("change", show);
  for (const kind of ["dragenter", "dragover"]) zone.addEventListener(kind, () => zone.classList.toggle("over", !input.disabled));
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("over"));
  form.addEventListener("submit", (event) => {
    if (!send) return;
    const kind = form.querySelector("input[name=kind]:checked");
    if (!input.files.length && kind?.dataset.needsInput !== undefined) {
      event.preventDefault(); // the server would refuse it on another page, where the choice is lost
      say(form.dataset.none.replace("{kind}", kind.value), true);
      return;
    }
    send.textContent = send.dataset.busy;
    setTimeout(() => { send.disabled = true; }); // after the form's values are taken
  });
  show();
}
