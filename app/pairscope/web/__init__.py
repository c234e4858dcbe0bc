"""Web: pages, API, access, health. SELECTs from history, asks the pool; forks nothing and installs no signal
handler."""
