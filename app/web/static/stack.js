// Copy buttons, and a stack page that looks again by itself while somebody looks at it.

const AGAIN = 5000;

function offer(root) {
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const target = event.target.closest("[data-copy], [data-copy-text]");
  if (!target || !navigator.clipboard) return;
  event.preventDefault();
  await navigator.clipboard.writeText(target.dataset.copy ?? target.dataset.copyText);
  const before = target.textContent;
  target.textContent = "✓";
  setTimeout(() => { target.textContent = before; }, 1200);
});

async function again() {
  const part = document.querySelector("[data-stack]");
  if (!part || document.hidden || part.contains(document.activeElement) || part.matches(":hover") || String(getSelection())) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const fresh = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-stack]");
    if (fresh && part.isConnected) { part.replaceWith(fresh); offer(fresh); }
  } catch { /* the server is away: the strip says so */ }
}

offer(document);
if (document.querySelector("[data-stack]")) setInterval(again, AGAIN);
