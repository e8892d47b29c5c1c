// One thing at a time, and of what is wanted meanwhile only the last: typing never queues up requests.

export class Newest {
  #work;
  #running = false;
  #wanted = false;
  #timer = 0;

  /** work: async; brings everything up to date with whatever holds when it starts. */
  constructor(work) {
    this.#work = work;
  }

  /** Runs it after a pause in which nobody calls again. */
  soon(pauseMs) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.now(), pauseMs);
  }

  async now() {
    clearTimeout(this.#timer);
    this.#wanted = true;
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#wanted) {
        this.#wanted = false;
        await this.#work();
      }
    } finally {
      this.#running = false;
    }
  }
}
