// An image as the person gave it, and without some of its regions.

import { readable } from "../formats.js";

const JPEG_PIXELS = 1_000_000; // above it an edited picture is sent as JPEG: a PNG of a photograph takes seconds
const MEAN_SIDE = 32;

export class Picture {
  /** bitmap: upright pixels; null where this browser cannot decode the file (the service may). */
  constructor(blob, name, bitmap) {
    Object.assign(this, { blob, name, bitmap });
  }

  /** formats: what the service reads. Another that the browser can decode (AVIF, HEIC) becomes a PNG. */
  static async from(blob, name, formats) {
    const bitmap = await decode(blob).catch(() => null);
    if (bitmap === null || readable(blob.type, formats)) return new Picture(blob, name, bitmap);
    return new Picture(await encode(draw(bitmap)), `${name}.png`, bitmap);
  }

  static async fromCanvas(canvas) {
    return new Picture(await encode(canvas), "drawing.png", await createImageBitmap(canvas));
  }

  get editable() {
    return this.bitmap !== null;
  }

  /** rectangles: [left, top, right, bottom] in pixels. They get the picture's mean colour, as in the service. */
  async without(rectangles) {
    const canvas = draw(this.bitmap);
    const context = canvas.getContext("2d");
    context.fillStyle = meanColour(this.bitmap);
    for (const [left, top, right, bottom] of rectangles) context.fillRect(left, top, right - left, bottom - top);
    const type = canvas.width * canvas.height > JPEG_PIXELS ? "image/jpeg" : "image/png";
    return new Picture(await encode(canvas, type), `edited.${type.slice(6)}`, null);
  }
}

/** Through an <img>: it reads all that the browser can show, SVG and HEIC too, and turns photographs upright. */
async function decode(blob) {
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  try {
    await image.decode();
    return await createImageBitmap(image);
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

function draw(bitmap, width = bitmap.width, height = bitmap.height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas;
}

function meanColour(bitmap) {
  const { data } = draw(bitmap, MEAN_SIDE, MEAN_SIDE).getContext("2d").getImageData(0, 0, MEAN_SIDE, MEAN_SIDE);
  const sums = [0, 0, 0];
  data.forEach((value, i) => { if (i % 4 < 3) sums[i % 4] += value; });
  return `rgb(${sums.map((sum) => Math.round(sum / MEAN_SIDE ** 2)).join(" ")})`;
}

function encode(canvas, type = "image/png") {
  if (canvas instanceof OffscreenCanvas) return canvas.convertToBlob({ type, quality: 0.92 });
  return new Promise((resolve) => canvas.toBlob(resolve, type));
}
