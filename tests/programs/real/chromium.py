"""Shows a page in Chromium without a screen, and prints what it made of it."""

import pathlib
import subprocess
import sys

at = pathlib.Path(sys.argv[1])
(at / "page.html").write_text("<!doctype html><p id=p><script>p.textContent = 'a ' + 'page'</script>")
done = subprocess.run(
    ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={at}/profile", "--dump-dom",
     (at / "page.html").as_uri()],
    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
)  # fmt: skip
print(done.stdout, done.returncode, flush=True)
