// Ready examples for models that read digits, as the shipped one does. Drawn and spoken by examples/make_samples.py.

const ZH = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"];
const EN = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

export const DIGITS = EN.map((_, digit) => digit);
export const PICTURES = [...DIGITS.map((digit) => `${digit}.png`), "photo.jpg"];
export const SOUNDS = DIGITS.map((digit) => `${digit}.mp3`);
export const SENTENCES = [
  "我写的是数字七", "房间号是四", "老师念的是5", "The answer is three.", "Is it a 2?", "Nothing to see here.",
];

/** Other models get no samples: they would have nothing to say about digits. */
export const reads = (model) => model.tasks.some(({ labels }) => DIGITS.every((digit) => labels.includes(String(digit))));

/** Text, picture and sound of one example, by the name of its button. */
export function example(name, language) {
  if (name === "photo") return { text: "", image: "photo.jpg", audio: "" };
  if (name === "quarrel") return { text: sentence(3, language), image: "7.png", audio: "5.mp3" };
  return { text: sentence(Number(name), language), image: `${name}.png`, audio: `${name}.mp3` };
}

export const EXAMPLES = [...DIGITS.map(String), "photo", "quarrel"];

export async function load(file) {
  const response = await fetch(new URL(`../samples/${file}`, import.meta.url));
  return response.blob();
}

const sentence = (digit, language) =>
  language === "zh" ? `我写的是数字${ZH[digit]}` : `I wrote the number ${EN[digit]}.`;
