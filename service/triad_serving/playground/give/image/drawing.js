// A sheet of white paper and a black pen, for a mouse, a finger, or the keyboard.

const PEN = 0.062; // of the sheet's side, as thick as a felt pen
const STEP = 10; // pixels that an arrow key moves the pen; with Shift a fifth of it
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Drawing {
  #canvas;
  #context;
  #strokes = [];
  #current = null; // the stroke being drawn
  #pen; // where the keyboard's pen is
  #onChange;

  /** onChange(done): after every move of the pen, with done false while it is down. */
  constructor(canvas, onChange) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { willReadFrequently: true });
    this.#onChange = onChange;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", () => this.#lift());
    canvas.addEventListener("pointercancel", () => this.#lift());
    canvas.addEventListener("keydown", (event) => this.#type(event));
    canvas.addEventListener("blur", () => this.#lift());
    this.clear();
  }

  get empty() {
    return this.#strokes.length === 0;
  }

  clear() {
    this.#strokes = [];
    this.#current = null;
    this.#pen = [this.#canvas.width / 2, this.#canvas.height / 4];
    this.#paint();
  }

  undo() {
    this.#strokes.pop();
    this.#paint();
    this.#onChange(true);
  }

  #press(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#begin(this.#at(event));
  }

  #move(event) {
    if (this.#current === null || !event.buttons) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) this.#current.push(this.#at(each));
    this.#paint();
    this.#onChange(false);
  }

  #begin(point) {
    this.#current = [point];
    this.#strokes.push(this.#current);
    this.#paint();
    this.#onChange(false);
  }

  #lift() {
    if (this.#current === null) return;
    this.#current = null;
    this.#showPen();
    this.#onChange(true);
  }

  #type(event) {
    if (event.key === " ") {
      if (this.#current) this.#lift();
      else this.#begin([...this.#pen]);
    } else if (event.key in ARROWS) {
      const step = event.shiftKey ? STEP / 5 : STEP;
      const [x, y] = ARROWS[event.key];
      this.#pen = [this.#pen[0] + x * step, this.#pen[1] + y * step].map((at) => Math.min(Math.max(at, 0), this.#canvas.width));
      if (this.#current) {
        this.#current.push([...this.#pen]);
        this.#paint();
        this.#onChange(false);
      }
    } else return;
    event.preventDefault();
    this.#showPen();
  }

  #at(event) {
    const box = this.#canvas.getBoundingClientRect();
    const scale = this.#canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  /** The pen lies on top of the canvas, so that the picture does not show it. */
  #showPen() {
    const sheet = this.#canvas.parentElement;
    sheet.style.setProperty("--pen-x", this.#pen[0] / this.#canvas.width);
    sheet.style.setProperty("--pen-y", this.#pen[1] / this.#canvas.height);
    sheet.dataset.pen = this.#current ? "down" : "up";
  }

  #paint() {
    const { width, height } = this.#canvas;
    const context = this.#context;
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    Object.assign(context, { lineWidth: PEN * width, lineCap: "round", lineJoin: "round", strokeStyle: "black" });
    for (const points of this.#strokes) this.#trace(points);
  }

  /** A smooth line through the middles of what the pointer reported. */
  #trace(points) {
    const context = this.#context;
    const [[left, top]] = points;
    context.beginPath();
    context.moveTo(left, top);
    if (points.every(([x, y]) => x === left && y === top)) {
      context.arc(left, top, 0.01, 0, 2 * Math.PI); // a line without length has no round ends in newer browsers
    }
    for (let i = 1; i < points.length - 1; i++) {
      const [[x, y], [nextX, nextY]] = [points[i], points[i + 1]];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    context.lineTo(...points.at(-1));
    context.stroke();
  }
}
