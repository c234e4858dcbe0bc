// Copy buttons, and a stack page that looks again by itself while somebody looks at it.

const AGAIN = 5000;
const PATIENCE = 10000;

function offer(root) {
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
}

async function copy(text) {
  // The clipboard is for pages over TLS and of localhost; a guest is reached by its address.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = Object.assign(document.createElement("textarea"), { value: text, className: "sr" });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("not copied");
}

document.addEventListener("click", async (event) => {
  const target = event.target.closest("[data-copy], [data-copy-text]");
  if (!target) return;
  event.preventDefault();
  try {
    await copy(target.dataset.copy ?? target.dataset.copyText);
  } catch {
    if (target.href) location.assign(target.href);
    return;
  }
  const before = target.dataset.label ?? (target.dataset.label = target.textContent);
  target.textContent = "✓";
  setTimeout(() => { target.textContent = before; }, 1200);
});

// Nothing moves under a pointer, a focus or a selection: then what is known anew is told in place.
function held(part) {
  return part.querySelector("table:hover, a:hover, button:hover") || part.contains(document.activeElement) || String(getSelection());
}

function tell(part, fresh) {
  for (const now of fresh.querySelectorAll("[data-told]")) {
    const then = part.querySelector(`[data-told="${CSS.escape(now.dataset.told)}"]`);
    if (then && then.innerHTML !== now.innerHTML && !then.contains(document.activeElement) && !then.querySelector("details[open]")) {
      then.className = now.className;
      then.innerHTML = now.innerHTML;
      offer(then);
    }
  }
}

let asking = false;
async function again() {
  const part = document.querySelector("[data-stack]");
  if (!part || document.hidden || asking) return;
  asking = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE) });
    const fresh = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-stack]");
    if (!fresh || !part.isConnected) return;
    if (held(part)) return tell(part, fresh);
    for (const open of part.querySelectorAll("tr details[open]")) {
      const row = fresh.querySelector(`[data-told="${CSS.escape(open.closest("tr").dataset.told)}"] details`);
      if (row) row.open = true;
    }
    part.replaceWith(fresh);
    offer(fresh);
  } catch { /* the server is away: live.js says so */ } finally { asking = false; }
}

offer(document);
if (document.querySelector("[data-stack]")) setInterval(again, AGAIN);
