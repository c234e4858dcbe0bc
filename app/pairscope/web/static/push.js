// The connection by which a page is told what has changed, while the server offers one: docs/live.md. Who loses it comes back after a while
// that is different for each page, so that not all come at once. An address that is a ticket is good for one connection: the page asks for the next.

const PAUSES = { again: [0, 1000], restart: [300, 3300], slow: [5000, 10000], away: [3000, 6000], full: [30000, 60000], crowd: [30000, 60000] }; // ms, from and to
const LONGEST = 30000;

export class Pushed {
  #source = null;
  #timer = 0;
  #failures = 0;

  // `hears`: told(html, identity), joined(html, identity), beat(refused), refused(html), and lost(why) when it has ended by itself.
  constructor(address, ticket, hears) {
    this.address = address;
    this.ticket = ticket;
    this.hears = hears;
    this.wants = false; // a ticket: who asks next brings it, by use()
  }

  use(address) {
    this.wants = false;
    this.address = address;
    this.open();
  }

  open() {
    clearTimeout(this.#timer);
    if (this.#source) return;
    if (!this.address) return void (this.wants = true);
    const source = this.#source = new EventSource(this.address);
    if (this.ticket) this.address = "";
    const on = (name, hear) => source.addEventListener(name, (event) => source === this.#source && hear(event));
    on("update", (event) => this.hears.told(event.data, event.lastEventId));
    on("joined", (event) => { this.#failures = 0; this.hears.joined(event.data, event.lastEventId); });
    on("beat", (event) => this.hears.beat(event.data === "refused"));
    on("refused", (event) => this.hears.refused(event.data));
    on("bye", (event) => this.lose(event.data));
    on("error", () => this.lose("gone"));
  }

  close() {
    clearTimeout(this.#timer);
    this.wants = false;
    this.#source?.close();
    this.#source = null;
  }

  // It is of no use any more; a new one is tried after a while.
  lose(why) {
    this.close();
    const again = Math.min(LONGEST, 2000 * 2 ** this.#failures);
    if (why === "gone") this.#failures += 1;
    const [from, to] = PAUSES[why] ?? [again, 2 * again];
    this.#timer = setTimeout(() => this.open(), from + Math.random() * (to - from));
    this.hears.lost(why);
  }
}
